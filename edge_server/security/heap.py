"""How much of the C heap is in use: libzmq keeps there what it has received and will send."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

_FIELDS = (
    "arena",
    "ordblks",
    "smblks",
    "hblks",
    "hblkhd",
    "usmblks",
    "fsmblks",
    "uordblks",
    "fordblks",
    "keepcost",
)


class _Mallinfo2(ctypes.Structure):
    """glibc's ``struct mallinfo2``; ``uordblks`` and ``hblkhd`` are the bytes in use."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


def heap_bytes() -> int | None:
    """Bytes in use, those that are mapped one by one included; None where libc cannot say."""
    ask = _mallinfo2()
    if ask is None:
        return None
    info = ask()
    return int(info.uordblks + info.hblkhd)


def give_back_free_heap() -> None:
    """Have libc return to the kernel what was freed; tens of milliseconds for some 100 MiB."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


@functools.cache
def _mallinfo2() -> Callable[[], _Mallinfo2] | None:
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)  # glibc 2.33 and later
    if ask is not None:
        ask.restype = _Mallinfo2
    return ask
