"""Answers probes over TCP, for a link that carries nothing else. Runs beside the edge server."""

from __future__ import annotations

import socket
import socketserver
import struct
import time

REQUEST = struct.Struct("!cI")
"""Kind and number of bytes."""
ECHO, UPLOAD, DOWNLOAD = b"E", b"U", b"D"
"""Send so many bytes back; take so many and say at what rate they came; send so many."""
REPORT = struct.Struct("!d")
"""Payload bit/s of an upload; 0: over before it could be timed."""
MAX_BYTES = 4 * 2**20
MAX_ECHO_BYTES = 1024
FULL_FRAME = 1514 / 1448
"""Bytes on the wire for a byte of payload, in full segments."""
_UNTIMED_SHARE = 1 / 3
"""Of a transfer: first a token bucket is emptied, and jitter that keeps the order adds up."""
_IDLE_S = 60.0


def timed_bps(connection: socket.socket, size: int) -> float:
    """Read ``size`` bytes and return the payload bit/s of the last two thirds; 0: none timed.

    Raises:
        OSError: the connection broke or timed out.
    """
    got, first, first_s, last_s = 0, 0, 0.0, 0.0
    while got < size:
        read = len(connection.recv(min(65536, size - got)))
        if read == 0:
            raise ConnectionResetError("the other end has closed the connection")
        got += read
        last_s = time.perf_counter()
        if first == 0 and got >= _UNTIMED_SHARE * size:
            first, first_s = got, last_s
    return 8 * (size - first) / (last_s - first_s) if last_s > first_s else 0.0


def read_exactly(connection: socket.socket, size: int) -> bytes:
    """``size`` bytes.

    Raises:
        OSError: the connection broke, ended or timed out.
    """
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionResetError("the other end has closed the connection")
        data += more
    return data


class _Conversation(socketserver.BaseRequestHandler):
    request: socket.socket

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(_IDLE_S)

    def handle(self) -> None:
        try:
            while self._answer():
                pass
        except OSError:
            return  # gone, or silent for too long

    def _answer(self) -> bool:
        kind, size = REQUEST.unpack(read_exactly(self.request, REQUEST.size))
        if kind == ECHO and size <= MAX_ECHO_BYTES:
            self.request.sendall(read_exactly(self.request, size))
        elif kind == UPLOAD and size <= MAX_BYTES:
            self.request.sendall(REPORT.pack(timed_bps(self.request, size)))
        elif kind == DOWNLOAD and size <= MAX_BYTES:
            self.request.sendall(bytes(size))
        else:
            return False  # not one of ours: closed without a word
        return True


class TcpProbeResponder(socketserver.ThreadingTCPServer):
    """Serves any number of probers, a thread each.

    Args:
        bind: address to listen at.
        port: TCP port; 0: any free one.

    Attributes:
        address: (host, port) it listens at.

    Raises:
        OSError: it cannot listen there.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, bind: str, port: int = 0) -> None:
        super().__init__((bind, port), _Conversation)
        self.address: tuple[str, int] = self.socket.getsockname()

    def serve(self) -> None:
        """Answer until a signal handler raises, or ``shutdown()`` is called from elsewhere."""
        self.serve_forever()

    def close(self) -> None:
        """Stop listening; connections end with the process. Idempotent."""
        self.server_close()
