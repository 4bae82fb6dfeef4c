"""Arrays in a file: written whole or not at all, and read without trusting who wrote them."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offload.errors import ConfigError

# RuntimeError: a flipped bit says "encrypted", or names an unknown compression.
_DAMAGES = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], *, sync: bool = False) -> None:
    """Write an uncompressed ``.npz``; it appears whole or not at all.

    Args:
        sync: wait until the disk has it, so that it outlives a power cut too.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_arrays(
    path: Path, max_bytes: int, error: type[ConfigError] = ConfigError
) -> dict[str, NDArray[Any]]:
    """Read a ``.npz``, without pickle; its checksums are compared.

    Args:
        max_bytes: refuse what is larger, packed or unpacked.
        error: what to raise.

    Raises:
        ConfigError: missing, damaged, or too large; of the class ``error``.
    """
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            size = max(size, sum(member.file_size for member in archive.infolist()))
        if size > max_bytes:
            raise error(f"{path} holds {size:,} bytes; more than {max_bytes:,} is not read")
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise error(f"{path} is missing") from None
    except _DAMAGES as reason:
        raise error(f"{path} is damaged: {reason}") from reason
    for name, value in arrays.items():
        if not isinstance(value, np.ndarray):
            raise error(f"{path} is damaged: {name} is no array")
    return arrays
