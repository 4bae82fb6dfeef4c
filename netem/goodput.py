"""TCP goodput of an emulated link, one direction at a time."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from netem.loopback import refuse_to_pass_by
from netem.namespaces import Endpoint
from offload.errors import BackendError

PREFERRED = ("bbr", "cubic", "reno")
"""Loss makes CUBIC a measure of itself: at 1 % and 40 ms it reaches 3 of 100 Mbit/s, BBR 89."""
_RESET_PATIENCE_S = 1.0
_CONNECT_PATIENCE_S = 60.0
_TRY_S = 2.0
_CHUNK = bytes(64 * 1024)


@dataclass(frozen=True, slots=True)
class Goodput:
    """A goodput and how it was measured.

    Attributes:
        goodput_bps: payload bits per second at the receiver, start-up left out.
        congestion_control: the sender's algorithm, without which the figure means little.
    """

    goodput_bps: float
    congestion_control: str


def available_congestion_control() -> str:
    """The first of :data:`PREFERRED` that this kernel offers."""
    text = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text()
    return next((name for name in PREFERRED if name in text.split()), "reno")


def tcp_goodput(
    sender: Endpoint,
    receiver: Endpoint,
    *,
    seconds: float,
    start_up_s: float,
    congestion_control: str | None = None,
) -> Goodput:
    """Send over TCP for ``start_up_s + seconds`` and count what arrives in the last ``seconds``.

    Args:
        sender: the end that sends.
        receiver: the end that counts.
        congestion_control: the sender's algorithm; None: :func:`available_congestion_control`.

    Raises:
        BackendError: no connection within 60 s.
    """
    algorithm = congestion_control or available_congestion_control()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(receiver.call(socket.create_server, (receiver.address, 0)))
        outgoing, incoming = connect(sender, listener, algorithm)
        stack.enter_context(outgoing)
        stack.enter_context(incoming)
        stop = threading.Event()
        thread = threading.Thread(target=_send_until, args=(outgoing, stop), daemon=True)
        thread.start()
        try:
            goodput_bps = _count(incoming, start_up_s, seconds)
        finally:
            stop.set()
            incoming.close()  # with data unread this resets the connection and wakes the sender
            thread.join(timeout=_RESET_PATIENCE_S)
            if thread.is_alive():  # the reset was lost on the link
                with contextlib.suppress(OSError):
                    outgoing.shutdown(socket.SHUT_RDWR)
                thread.join()
    return Goodput(goodput_bps, algorithm)


def connect(
    sender: Endpoint, listener: socket.socket, algorithm: str
) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection, trying anew every 2 s: TCP's own retries soon come too rarely.

    Args:
        sender: the end that connects, and whose algorithm is set.
        listener: a listening socket of the other end.
        algorithm: name of the sender's congestion control.

    Raises:
        BackendError: no connection within 60 s, or the link carries no packets.
    """
    refuse_to_pass_by(sender, "a connection between the ends")
    deadline = time.monotonic() + _CONNECT_PATIENCE_S
    listener.settimeout(_TRY_S)
    while time.monotonic() < deadline:
        outgoing = sender.call(socket.socket)
        try:
            outgoing.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm.encode())
            # Closing drops what is still unsent, or it would go on filling the link's queue.
            outgoing.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            outgoing.settimeout(_TRY_S)
            outgoing.connect(listener.getsockname())
            while True:
                incoming, peer = listener.accept()
                if peer == outgoing.getsockname():
                    return outgoing, incoming
                incoming.close()  # an earlier try, come through after all
        except TimeoutError:
            outgoing.close()
        except BaseException:
            outgoing.close()
            raise
    raise BackendError(f"no TCP connection over the link within {_CONNECT_PATIENCE_S:g} s")


def _send_until(outgoing: socket.socket, stop: threading.Event) -> None:
    outgoing.settimeout(None)
    while not stop.is_set():
        try:
            outgoing.send(_CHUNK)
        except OSError:
            return  # shut down by the caller: the measurement is over


def _count(incoming: socket.socket, start_up_s: float, seconds: float) -> float:
    begin = time.monotonic() + start_up_s
    counted, first, last = 0, 0.0, begin
    while last < begin + seconds:
        incoming.settimeout(max(0.01, begin + seconds - time.monotonic()))
        try:
            size = len(incoming.recv(1 << 20))
        except TimeoutError:
            last = time.monotonic()
            break
        last = time.monotonic()
        if first:
            counted += size
        elif last >= begin:
            first = last
    return 8 * counted / (last - first) if first and last > first else 0.0
