"""Payloads compressed by zstd: made smaller by the sender, bounded by the receiver.

The package ``zstandard`` is optional (requirements-zstd.txt). A side without it says so, and sends
and takes everything as it is.
"""

from __future__ import annotations

import importlib.util

from edge_server.protocol import ErrorCode, ProtocolError

AVAILABLE = importlib.util.find_spec("zstandard") is not None
HOW_TO_GET = "pip install -r requirements-zstd.txt"
LEVEL = 1
"""The quickest of zstd's ordinary levels: on links where compressing pays, the CPU must not be what
limits."""
_MAX_WINDOW_BYTES = 8 * 2**20


def compress(payload: bytes) -> bytes:
    """The payload as one zstd frame that says its decompressed size.

    Raises:
        ProtocolError: the package is missing here.
    """
    _check_available()
    import zstandard

    return zstandard.ZstdCompressor(level=LEVEL).compress(payload)


def decompress(
    frame: bytes | bytearray | memoryview,
    size: int,
    *,
    request_id: int = 0,
    code: ErrorCode = ErrorCode.BAD_REQUEST,
) -> bytes:
    """Undo :func:`compress`; no byte is written before the frame's own claim has been checked.

    Args:
        frame: what came.
        size: decompressed bytes, as the header said; the caller has bounded it.
        request_id: named in the error.
        code: of the error.

    Raises:
        ProtocolError: it is no zstd frame, or not of that size; or the package is missing here.
    """
    _check_available(request_id, code)
    import zstandard

    # The size in the frame is what zstandard allocates, whatever limit it is given.
    try:
        claimed = zstandard.frame_content_size(frame)
        if claimed != size:
            said = "nothing" if claimed < 0 else f"{claimed} bytes"
            raise ProtocolError(
                code,
                f"the zstd frame says {said} of its size, the header {size} bytes",
                request_id,
            )
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        return decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        message = f"no zstd frame: {error}"
        raise ProtocolError(code, message, request_id) from error


def _check_available(request_id: int = 0, code: ErrorCode = ErrorCode.BAD_REQUEST) -> None:
    if not AVAILABLE:
        message = f"this side has no zstd; send it as it is, or {HOW_TO_GET}"
        raise ProtocolError(code, message, request_id)
