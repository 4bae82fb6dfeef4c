"""Row: SIGTERM while the server has more than it can do; what it has accepted it still answers."""

from __future__ import annotations

import signal
import time
from collections import Counter
from contextlib import ExitStack

import zmq

from evidence.chaos.parts import Server
from evidence.chaos.raw_client import RawClient, receive_until
from evidence.chaos.rows import Bound, RowRun, exactly, told

_CLIENTS = 8
_WINDOW = 4
"""Tasks a client keeps under way: together more than the server's workers and queue hold."""
_WORKERS = 2
_HOLD_MS = (5, 60)
_BUDGET_S = 5.0
_END_S = 15.0
_LAST_WORDS_S = 1.0


def terminate(run: RowRun) -> list[Bound]:
    """A server under load gets SIGTERM, at a time of its own each time; then a fresh one."""
    outcomes: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    drain_s: list[float] = []
    for number in range(run.count):
        seen, status, seconds = _once(run, number)
        outcomes += seen
        statuses[status] += 1
        drain_s.append(seconds)
        run.progress(number + 1)
    return [
        exactly("servers that ended with status 0", run.count, statuses[0]),
        told("slowest drain", f"{max(drain_s):.2f} s"),
        told("answers", ", ".join(f"{name} {count:,}" for name, count in sorted(outcomes.items()))),
    ]


def _once(run: RowRun, number: int) -> tuple[Counter[str], int, float]:
    """One server's life; (outcomes of its tasks, its exit status, seconds it took to drain)."""
    rng = run.rng(f"server {number}")
    with Server(run.history, {"workers": _WORKERS}) as server, ExitStack() as stack:
        context: zmq.Context[zmq.Socket[bytes]] = stack.enter_context(zmq.Context())
        clients = [
            stack.enter_context(RawClient(context, server.port, f"s{number}c{k}", run.history))
            for k in range(_CLIENTS)
        ]
        outcomes: Counter[str] = Counter()

        def load() -> None:
            for client in clients:
                while len(client.open) < _WINDOW:
                    client.submit(rng.randint(*_HOLD_MS), 100, _BUDGET_S)
                if client.acknowledged:
                    client.ping()

        ends_s = time.monotonic() + rng.uniform(0.2, 0.6)
        while time.monotonic() < ends_s:
            load()
            outcomes += receive_until(clients, lambda: False, 0.005)
        server.signal(signal.SIGTERM)
        sent_s = run.history.fault("sigterm", server.pid)
        while not server.ended and time.monotonic() < sent_s + _END_S:
            if time.monotonic() < sent_s + 0.2:  # clients do not know yet
                load()
            outcomes += receive_until(clients, lambda: server.ended, 0.005)
        seconds = time.monotonic() - sent_s
        status = server.wait()
        outcomes += receive_until(
            clients, lambda: not any(client.open for client in clients), _LAST_WORDS_S
        )
        outcomes["sent too late"] += sum(len(client.open) for client in clients)
    return outcomes, status, seconds
