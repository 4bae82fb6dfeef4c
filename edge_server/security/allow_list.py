"""The clients that a server lets in: one public key file each, in one folder.

A folder rather than one file: letting a client in or out is then a single link or unlink, which a
running server sees whole or not at all.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from edge_server.security.key_files import (
    PUBLIC_SUFFIX,
    SECRET_SUFFIX,
    check_folder,
    checked_name,
    read_public,
    text_of,
    write_new,
)
from offload.errors import ConfigError, UnknownNameError

RELOAD_S = 0.5
"""A change of the folder is noticed within this time, as long as anybody asks."""
_log = logging.getLogger(__name__)


class AllowList:
    """Who is let in, as the folder says now; several threads may ask.

    Args:
        folder: its ``NAME.key`` files are the clients. A file that others could have written is
            passed over, with a warning; where the folder cannot be read, nobody is let in.

    Attributes:
        version: grows with each change.

    Raises:
        ConfigError: there is no such folder, or others may write to it.
    """

    def __init__(self, folder: Path) -> None:
        check_folder(folder)
        self._folder = folder
        self._lock = threading.Lock()
        self._looked_s = -float("inf")
        self._seen: dict[str, tuple[int, ...]] | None = None
        self._names: dict[bytes, str] = {}
        self.version = 0

    def name_of(self, public: bytes) -> str | None:
        """The name of the client with this public key (Z85); None: not let in."""
        self.refresh()
        return self._names.get(public)

    def refresh(self) -> None:
        """Read the folder again when the last look is :data:`RELOAD_S` old."""
        if time.monotonic() - self._looked_s < RELOAD_S:
            return
        with self._lock:
            try:
                check_folder(self._folder)
                seen = _states(self._folder)
            except (ConfigError, OSError) as error:
                if self._seen is not None:
                    _log.error("nobody is let in any more: %s", error)
                self._take(None, {})
            else:
                if seen != self._seen:
                    self._take(seen, _read_all(self._folder, sorted(seen)))
            self._looked_s = time.monotonic()

    def _take(self, seen: dict[str, tuple[int, ...]] | None, names: dict[bytes, str]) -> None:
        self._seen = seen
        if names != self._names:
            self._names = names
            self.version += 1


def authorize(folder: Path, public_file: Path, name: str | None = None) -> str:
    """Let the client with that public key in; the name it is known by.

    Args:
        folder: the server's folder of clients.
        public_file: the client's ``.key`` file.
        name: how to call it; None: as its file is called.

    Raises:
        ConfigError: the file holds no public key, or key or name is there already.
    """
    check_folder(folder)
    if public_file.name.endswith(SECRET_SUFFIX):
        raise ConfigError(
            f"{public_file} is a secret key, which should stay where it was made; "
            f"give the {PUBLIC_SUFFIX} file beside it"
        )
    public = read_public(public_file)
    known_as = _read_all(folder, sorted(_states(folder))).get(public)
    if known_as is not None:
        raise ConfigError(f"this key is authorised already, as {known_as!r}")
    name = checked_name(public_file.name.removesuffix(PUBLIC_SUFFIX) if name is None else name)
    write_new(folder / f"{name}{PUBLIC_SUFFIX}", text_of(public), 0o644)
    return name


def revoke(folder: Path, name: str) -> list[str]:
    """Let a client in no more; the names of the files that went, its key under another name too.

    Raises:
        UnknownNameError: no client has that name.
        ConfigError: its file cannot be read or removed.
    """
    check_folder(folder)
    states = _states(folder)
    path = folder / f"{checked_name(name)}{PUBLIC_SUFFIX}"
    if path.name not in states:
        known = [file.removesuffix(PUBLIC_SUFFIX) for file in states]
        raise UnknownNameError("client", name, known)
    public = read_public(path)
    gone = [file for file in sorted(states) if _public_or_none(folder / file) == public]
    try:
        for file in gone:
            os.unlink(folder / file)
    except OSError as error:
        raise ConfigError(f"cannot remove {error.filename}: {error.strerror}") from error
    return [file.removesuffix(PUBLIC_SUFFIX) for file in gone]


def _states(folder: Path) -> dict[str, tuple[int, ...]]:
    """Each key file's name, and what changes when it is changed."""
    states: dict[str, tuple[int, ...]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(PUBLIC_SUFFIX) and not entry.name.startswith("."):
                try:
                    found = entry.stat()
                except FileNotFoundError:
                    continue  # removed meanwhile
                states[entry.name] = (
                    found.st_ino,
                    found.st_mtime_ns,
                    found.st_ctime_ns,
                    found.st_size,
                )
    return states


def _read_all(folder: Path, files: list[str]) -> dict[bytes, str]:
    """Public key -> name."""
    names: dict[bytes, str] = {}
    for file in files:
        try:
            names[read_public(folder / file)] = file.removesuffix(PUBLIC_SUFFIX)
        except ConfigError as error:
            _log.warning("a client's key is passed over: %s", error)
    return names


def _public_or_none(path: Path) -> bytes | None:
    try:
        return read_public(path)
    except ConfigError:
        return None
