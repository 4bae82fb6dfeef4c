"""The folder of a server's keys: ``server.key``, ``server.key_secret`` and ``clients/``."""

from __future__ import annotations

from pathlib import Path

from edge_server.security.key_files import SECRET_SUFFIX, check_folder
from edge_server.security.keys import KeyPair
from offload.errors import ConfigError

SERVER_NAME = "server"
_CLIENTS = "clients"


def server_secret(folder: Path) -> Path:
    """The server's secret key.

    Raises:
        ConfigError: there is no such folder, or others may write to it.
    """
    check_folder(folder)
    return folder / f"{SERVER_NAME}{SECRET_SUFFIX}"


def clients_folder(folder: Path) -> Path:
    """Where the public keys are of the clients let in; raises as :func:`server_secret` does."""
    check_folder(folder)
    return folder / _CLIENTS


def make_pair(folder: Path, name: str) -> Path:
    """Make a pair in a folder, which is made if there is none; the path of its secret key.

    Raises:
        ConfigError: the pair exists, or others may write to the folder.
    """
    _make_folder(folder)
    return KeyPair.generate().save(folder, name)


def make_server_folder(folder: Path) -> Path:
    """Make a server's pair and its empty allow-list; the path of its secret key.

    Raises:
        ConfigError: as :func:`make_pair`.
    """
    secret = make_pair(folder, SERVER_NAME)
    _make_folder(folder / _CLIENTS)
    return secret


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {folder}: {error.strerror}") from error
    check_folder(folder)
