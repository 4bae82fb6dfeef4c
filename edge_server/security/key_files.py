"""Key files: written whole or not at all, read only where nobody else could have tampered.

The format is the one of CZMQ and ``zmq.auth`` (ZPL, section ``curve``), so other ZeroMQ programs
can read and make them: ``NAME.key`` holds a public key, ``NAME.key_secret`` both. Keys are 32
bytes, written in Z85 (40 characters).
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from pathlib import Path

from zmq.utils import z85

from offload.errors import ConfigError

PUBLIC_SUFFIX = ".key"
SECRET_SUFFIX = ".key_secret"
MAX_FILE_BYTES = 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_ENTRY = r'^\s*{field}\s*=\s*"([^"\n]*)"\s*$'


def checked_name(name: str) -> str:
    """The name, if it can name a key's file.

    Raises:
        ConfigError: it cannot; a path, for example.
    """
    if not _NAME.fullmatch(name) or name.endswith((PUBLIC_SUFFIX, SECRET_SUFFIX)):
        raise ConfigError(
            f"{name!r} is no name for a key: up to 64 of A-Z a-z 0-9 _ . @ -, a letter or digit "
            "first, and no suffix of a key file"
        )
    return name


def text_of(public: bytes, secret: bytes | None = None) -> str:
    """The text of a key file."""
    what = "A public key: hand it out." if secret is None else "A secret key: keep it."
    lines = [f"#   {what}", "curve", f'    public-key = "{public.decode()}"']
    if secret is not None:
        lines.append(f'    secret-key = "{secret.decode()}"')
    return "\n".join(lines) + "\n"


def write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that does not exist yet, with its mode from the first byte on, all or nothing.

    Raises:
        ConfigError: there is such a file already, or it cannot be written.
    """
    try:
        # mkstemp makes it 0600; it gets its name only when it is whole, and never another's name.
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        finally:
            os.unlink(draft)
    except FileExistsError:
        raise ConfigError(
            f"{path} exists; a key is never overwritten: name another, or remove it yourself"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def read_public(path: Path) -> bytes:
    """The public key in a file, in Z85.

    Raises:
        ConfigError: no such file, others may write it, or it holds no public key.
    """
    return _entry(path, _read(path, 0o022, "go-w"), "public-key")


def read_pair(path: Path) -> tuple[bytes, bytes]:
    """The public and the secret key in a file, in Z85.

    Raises:
        ConfigError: no such file, others may read or write it, or it holds no pair.
    """
    text = _read(path, 0o077, "600")
    return _entry(path, text, "public-key"), _entry(path, text, "secret-key")


def check_folder(path: Path) -> None:
    """Refuse a folder to which others could add keys.

    Raises:
        ConfigError: it is none, others may write to it, or it is another user's.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; python -m edge_server keygen makes it"
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{path} is no folder; give the one that keygen made")
    _check_guarded(path, found, 0o022, "go-w")


def _read(path: Path, forbidden: int, chmod: str) -> str:
    """A small regular file's text, its rights checked on the very file that is read."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigError(f"{path} is no regular file")
            _check_guarded(path, found, forbidden, chmod)
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path} is no key file: it has more than {MAX_FILE_BYTES} bytes")
    return data.decode("ascii", errors="replace")


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would wait for its writer


def _check_guarded(path: Path, found: os.stat_result, forbidden: int, chmod: str) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"{path} belongs to user {found.st_uid}, not to this one: chown {os.geteuid()} {path}"
        )
    if found.st_mode & forbidden:
        what = "read or written" if forbidden & 0o044 else "written"
        raise ConfigError(
            f"{path} has mode {stat.S_IMODE(found.st_mode):04o}, so it can be {what} by others: "
            f"chmod {chmod} {path}"
        )


def _entry(path: Path, text: str, field: str) -> bytes:
    match = re.search(_ENTRY.format(field=field), text, re.MULTILINE)
    if match is None:
        hint = "; the secret is in the file that ends in _secret" if field == "secret-key" else ""
        raise ConfigError(f"{path} holds no {field}{hint}")
    key = match[1].encode()
    with contextlib.suppress(ValueError, KeyError):
        if len(key) == 40 and len(z85.decode(key)) == 32:
            return key
    raise ConfigError(f"{path}: its {field} is no key of 40 Z85 characters")
