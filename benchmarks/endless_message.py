"""A message that never ends: what a bare ROUTER makes of it, and what the edge server does.

``python -m benchmarks.endless_message`` sends frames of one message from one connection, at full
speed over the loopback, first to a ROUTER with the edge server's own options, then to the server.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from edge_server.client import EdgeClient
from evidence.chaos.zmtp import RawPeer, frame

_MIB = 2**20
_AFTER_S = 2.0
_BATCH_BYTES = 262_144
_BARE_ROUTER = """
import sys, zmq
from edge_server.sockets import bounded_socket
router = bounded_socket(zmq.Context(), zmq.ROUTER, 17 * 2**20)
print(f"ready on tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')} ", flush=True)
while True:
    router.recv_multipart()
"""


@dataclass(frozen=True)
class Options:
    """Which frames to send, and how much at most."""

    frame_bytes: tuple[int, ...] = (65_536, 1_000, 1, 0)
    max_mib: int = 256
    """Sent to the bare ROUTER; a tenth of it where frames have fewer than 100 bytes."""


@dataclass(frozen=True)
class Seen:
    """What one attack did: MiB sent until the end, MiB the server grew by, longest ping beside."""

    sent_mib: float
    grown_mib: float
    after_mib: float
    longest_ping_s: float


def attack(pid: int, port: int, frame_bytes: int, max_mib: float, *, beside: bool) -> Seen:
    """Send one message without an end until the server hangs up, or ``max_mib`` are sent."""
    piece = frame(bytes(frame_bytes), more=True)
    batch = piece * max(1, _BATCH_BYTES // len(piece))
    before = peak = _rss(pid)
    over = threading.Event()
    pings: list[float] = []

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.002):
            peak = max(peak, _rss(pid))

    def ping() -> None:
        with EdgeClient(port=port) as client:
            while not over.wait(0.01):
                start_s = time.monotonic()
                client.ping(30.0)
                pings.append(time.monotonic() - start_s)

    threads = [
        threading.Thread(target=target) for target in ((watch, ping) if beside else (watch,))
    ]
    for thread in threads:
        thread.start()
    sent = 0
    with RawPeer(port, timeout_s=60.0) as peer:
        peer.shake_hands()
        while sent < max_mib * _MIB and peer.send(batch):
            sent += len(batch)
        if not beside:
            time.sleep(1.0)  # a bare ROUTER has no end of its own: let it take in what is sent
    time.sleep(_AFTER_S)
    over.set()
    for thread in threads:
        thread.join()
    longest_s = max(pings, default=float("nan"))
    return Seen(sent / _MIB, (peak - before) / _MIB, (_rss(pid) - before) / _MIB, longest_s)


@contextmanager
def _running(*words: str) -> Iterator[tuple[int, int]]:
    """(pid, port) of a program that names its port in its first line."""
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline().split(":")[2].split()[0])
        finally:
            process.kill()


def _rss(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def main(options: Options) -> None:
    """Attack both with each size of frame, each time a fresh process, and print what came of it."""
    table = Table(
        *("frames of", "bare ROUTER: sent", "grew by", "edge server: took", "grew by"),
        *(f"{_AFTER_S:g} s later", "longest ping beside"),
        title="One message that never ends, MiB",
    )
    for size in options.frame_bytes:
        max_mib = options.max_mib if size >= 100 else options.max_mib / 10
        with _running("-c", _BARE_ROUTER) as (pid, port):
            bare = attack(pid, port, size, max_mib, beside=False)
        with _running("-m", "edge_server", "--port", "0", "--workers", "1") as (pid, port):
            ours = attack(pid, port, size, 4 * options.max_mib, beside=True)
        table.add_row(
            f"{size} B",
            *(f"{bare.sent_mib:.0f}", f"{bare.grown_mib:.0f}", f"{ours.sent_mib:.0f}"),
            *(f"{ours.grown_mib:.0f}", f"{ours.after_mib:.0f}"),
            f"{ours.longest_ping_s * 1e3:.0f} ms",
        )
    Console().print(table)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
