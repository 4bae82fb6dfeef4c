"""Row: far more tasks than the server can run while its workers stand still."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import zmq

from evidence.chaos.parts import Server, rss_bytes
from evidence.chaos.raw_client import RawClient, receive_until
from evidence.chaos.rows import Bound, RowRun, at_most, exactly, told

_CLIENTS = 100
_WORKERS = 2
_QUEUE = 10_000
_PADDING = 10_000
_BUDGET_S = 60.0
_LIMIT_MIB = 256.0
_SAMPLE_S = 0.05
_BURST = 10


def flood(run: RowRun) -> list[Bound]:
    """100 clients send all their tasks at once to a server whose workers are stopped (SIGSTOP).

    The server may queue as many as its setting's largest value allows. Once all are sent the
    workers go on: what was accepted must be answered, the rest must have been told BUSY.
    """
    outcomes: Counter[str] = Counter()
    with (
        Server(run.history, {"workers": _WORKERS, "queue": _QUEUE}) as server,
        ExitStack() as stack,
    ):
        context: zmq.Context[zmq.Socket[bytes]] = stack.enter_context(zmq.Context())
        clients = [
            stack.enter_context(RawClient(context, server.port, f"flood{number}", run.history))
            for number in range(_CLIENTS)
        ]
        peak = stack.enter_context(_peak_rss(server))
        with _stopped(server.workers(), run):
            for sent in range(0, run.count // _CLIENTS, _BURST):
                for client in clients:
                    for _ in range(_BURST):
                        client.submit(1, _PADDING, _BUDGET_S)
                    outcomes.update(client.receive())
                run.progress((sent + _BURST) * _CLIENTS)
            for client in clients:
                client.ping()
            known = receive_until(clients, lambda: all(c.acknowledged for c in clients), _BUDGET_S)
            outcomes += known
            server.sample()
        outcomes += receive_until(clients, lambda: not any(c.open for c in clients), _BUDGET_S)
        unanswered = sum(len(client.open) for client in clients)
    return [
        at_most("server and workers, most memory at once", _LIMIT_MIB, peak[0] / 2**20, " MiB"),
        exactly("silently dropped", 0, unanswered),
        exactly("answered BUSY, or done", run.count, outcomes["busy"] + outcomes["remote_ok"]),
        told("queued, and done once the workers went on", f"{outcomes['remote_ok']:,}"),
    ]


@contextmanager
def _stopped(pids: list[int], run: RowRun) -> Iterator[None]:
    for pid in pids:
        run.history.fault("stop-worker", pid)
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
            run.history.healed("stop-worker", pid)


@contextmanager
def _peak_rss(server: Server) -> Iterator[list[int]]:
    """The most memory that the server and its workers held at once, in bytes."""
    peak, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_S):
            held = sum(rss_bytes(pid) for pid in (server.pid, *server.workers()))
            peak[0] = max(peak[0], held)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()
