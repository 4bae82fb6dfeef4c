"""TCP between the ends of any link, the device connecting, as a program on it would."""

from __future__ import annotations

import bisect
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from netem.link import Link

_PATIENCE_S = 20.0
_CHUNK = bytes(16 * 1024)


def connected_streams(link: Link) -> tuple[socket.socket, socket.socket]:
    """The device's and the edge's end of one connection through :meth:`Link.reach`.

    Raises:
        OSError: it could not be made within 20 s.
    """
    with link.edge.call(socket.create_server, (link.edge.address, 0)) as listener:
        listener.settimeout(_PATIENCE_S)
        reached = link.reach(listener.getsockname()[1])
        device = link.device.call(socket.create_connection, reached, _PATIENCE_S)
        try:
            edge, _ = listener.accept()
        except BaseException:
            device.close()
            raise
    return device, edge


@dataclass(slots=True)
class Arrivals:
    """What has arrived of a stream so far: running total of bytes at each moment of reading."""

    read_ns: list[int] = field(default_factory=list)
    total_bytes: list[int] = field(default_factory=list)

    def by(self, moment_ns: int) -> int:
        """Bytes that had arrived by then."""
        reads = bisect.bisect_right(self.read_ns, moment_ns)
        return self.total_bytes[reads - 1] if reads else 0


@contextlib.contextmanager
def busy_stream(link: Link, direction: str) -> Iterator[Arrivals]:
    """Keep one direction full while the block runs; what arrives is read and noted meanwhile.

    Args:
        direction: ``up`` or ``down``.
    """
    device, edge = connected_streams(link)
    sender, receiver = (device, edge) if direction == "up" else (edge, device)
    arrivals = Arrivals()
    threads = [
        threading.Thread(target=_fill, args=(sender,), name="stream sender"),
        threading.Thread(target=_note, args=(receiver, arrivals), name="stream receiver"),
    ]
    with device, edge:
        for thread in threads:
            thread.start()
        try:
            yield arrivals
        finally:
            for end in (receiver, sender):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def _fill(sender: socket.socket) -> None:
    sender.settimeout(None)
    with contextlib.suppress(OSError):  # shut down: the block is over
        while True:
            sender.send(_CHUNK)


def _note(receiver: socket.socket, arrivals: Arrivals) -> None:
    receiver.settimeout(None)
    total = 0
    with contextlib.suppress(OSError):
        while size := len(receiver.recv(1 << 18)):
            total += size
            arrivals.read_ns.append(time.time_ns())
            arrivals.total_bytes.append(total)
