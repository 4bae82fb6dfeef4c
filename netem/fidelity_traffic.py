"""Traffic over a link that replays a trace: a flood of datagrams, a TCP transfer, pings."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np

from netem.link import Link
from netem.namespaces import Endpoint
from netem.player import Replayed, TracePlayer
from netem.qdisc import FRAME_BYTES
from offload.errors import BackendError
from offload.link_trace import LinkTrace
from offload.types import FloatArray

BIN_S = 0.5
PING_EVERY_S = 0.02
FLOOD_OVER_SET = 1.1
DATAGRAM_BYTES = 1472
"""Payload of a full packet: 97.2 % of its frame. TCP's share is 95.6 %."""
_PORT = 7001
_CHUNK = bytes(64 * 1024)
_PATIENCE_S = 30.0


@contextlib.contextmanager
def connected(
    sender: Endpoint, receiver: Endpoint, congestion_control: str
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection between the ends: (sender's socket, receiver's)."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(receiver.call(_listen, receiver.address))
        outgoing = stack.enter_context(sender.call(_socket, congestion_control))
        outgoing.settimeout(_PATIENCE_S)
        listener.settimeout(_PATIENCE_S)
        try:
            outgoing.connect((receiver.address, _PORT))
            incoming, _ = listener.accept()
        except OSError as error:
            raise BackendError(f"no connection over the link: {error}") from error
        yield outgoing, stack.enter_context(incoming)


def _listen(address: str) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, _PORT))
    listener.listen()
    return listener


def _socket(congestion_control: str) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion_control.encode())
    return made


def saturate(
    link: Link, trace: LinkTrace, outgoing: socket.socket, incoming: socket.socket, seconds: float
) -> tuple[FloatArray, Replayed]:
    """Bits received in each bin while the trace is replayed, shape (bins,)."""
    bits = np.zeros(int(seconds / BIN_S))
    over = threading.Event()

    def send() -> None:
        with contextlib.suppress(OSError):  # shut down under it, or nothing gets through
            while not over.is_set():
                outgoing.sendall(_CHUNK)

    sending = threading.Thread(target=send)
    with TracePlayer(link, trace, loop=True) as player:
        sending.start()
        incoming.settimeout(BIN_S)
        try:
            while player.elapsed_s < seconds:
                with contextlib.suppress(TimeoutError):
                    got = len(incoming.recv(1 << 20))
                    index = int(player.elapsed_s / BIN_S)
                    if index < len(bits):
                        bits[index] += 8 * got
        finally:
            over.set()
            with contextlib.suppress(OSError):
                outgoing.shutdown(socket.SHUT_RDWR)
            sending.join()
        return bits, player.report()


def flood(
    link: Link,
    trace: LinkTrace,
    set_bps: FloatArray,
    ends: tuple[Endpoint, Endpoint],
    seconds: float,
) -> tuple[FloatArray, Replayed]:
    """Bits of payload received in each bin while more than the link carries is sent."""
    sender, receiver = ends
    bits = np.zeros(int(seconds / BIN_S))
    datagram = bytes(DATAGRAM_BYTES)
    with (
        sender.call(_datagrams, sender.address) as outgoing,
        receiver.call(_datagrams, receiver.address) as incoming,
    ):
        over = threading.Event()

        def send() -> None:
            due_bits, before_s = 0.0, time.monotonic()
            while not over.is_set():
                now_s = time.monotonic()
                rate_bps = FLOOD_OVER_SET * set_bps[trace.row_at(player.position_s)]
                due_bits += rate_bps * min(now_s - before_s, 0.1)
                before_s = now_s
                while due_bits > 0.0:
                    outgoing.sendto(datagram, (receiver.address, _PORT))
                    due_bits -= 8.0 * FRAME_BYTES
                time.sleep(0.001)

        sending = threading.Thread(target=send)
        with TracePlayer(link, trace, loop=True) as player:
            sending.start()
            try:
                while player.elapsed_s < seconds:
                    with contextlib.suppress(TimeoutError):
                        got = len(incoming.recv(2048))
                        index = int(player.elapsed_s / BIN_S)
                        if index < len(bits):
                            bits[index] += 8 * got
            finally:
                over.set()
                sending.join()
            return bits, player.report()


def ping(link: Link, trace: LinkTrace, seconds: float) -> tuple[FloatArray, Replayed]:
    """Median round trip of the pings sent in each bin of an idle replay, shape (bins,)."""
    samples: list[list[float]] = [[] for _ in range(int(seconds / BIN_S))]
    with (
        link.edge.call(_datagrams, link.edge.address) as echo,
        link.device.call(_datagrams, link.device.address) as ping,
    ):
        over = threading.Event()

        def answer() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    data, whence = echo.recvfrom(64)
                    echo.sendto(data, whence)

        def listen() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    sent_s, index = np.frombuffer(ping.recv(64))
                    samples[int(index)].append(time.monotonic() - sent_s)

        threads = [threading.Thread(target=run) for run in (answer, listen)]
        for thread in threads:
            thread.start()
        try:
            with TracePlayer(link, trace, loop=True) as player:
                while (index := int(player.elapsed_s / BIN_S)) < len(samples):
                    message = np.array([time.monotonic(), float(index)]).tobytes()
                    ping.sendto(message, (link.edge.address, _PORT))
                    time.sleep(PING_EVERY_S)
                time.sleep(float(trace.rtt_s.max()))  # the last ones are still on their way
                kept = player.report()
        finally:
            over.set()
            for thread in threads:
                thread.join()
    return np.array([np.median(bin) if bin else np.nan for bin in samples]), kept


def _datagrams(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, _PORT))
    made.settimeout(0.2)
    return made
