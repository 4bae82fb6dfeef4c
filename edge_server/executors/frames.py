"""What is written on the channel between the server and a worker process, both ways.

A frame is a header and its bodies: a job's are its kind and its payload, a result's its output or
its message. A large payload or output may lie in a shared area instead. Both ends are of one
machine and one version, so the layout is the machine's own.
"""

from __future__ import annotations

import struct
from enum import IntEnum

FRAME = struct.Struct("=BdQQQH")
"""tag; seconds (a job's deadline, a result's compute time); bytes of the decompressed payload or
output, 0 where it is not compressed; bytes of the payload or output that follow; bytes of it in the
shared area; bytes of the kind."""
LARGE_BYTES = 32_768
"""From this size a body goes through the shared area, if there is room."""


class Tag(IntEnum):
    """What a frame holds."""

    RUN = 0
    RUN_ACCEPT_ZSTD = 1
    READY = 2
    OK = 3
    UNKNOWN_KIND = 4
    BAD_INPUT = 5
    FAILED = 6
    EXPIRED = 7
    OUT_OF_MEMORY = 8
    TOO_LARGE = 9
