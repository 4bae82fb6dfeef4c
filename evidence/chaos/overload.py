"""Row: tasks arrive at two and five times the rate the server can do, whatever becomes of them.

First the most it can do is measured, with always something waiting. Then tasks arrive as a Poisson
process at a multiple of that rate: an open loop, in which slow answers slow nobody down.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack

import zmq

from evidence.chaos.history import read_history
from evidence.chaos.invariants import read_story
from evidence.chaos.parts import Server
from evidence.chaos.raw_client import RawClient, receive_until
from evidence.chaos.rows import Bound, RowRun, at_least, at_most, told

FACTORS = (2.0, 5.0)
_CLIENTS = 16
_WINDOW = 1
"""Tasks each client keeps under way for the peak: together less than workers and queue hold."""
_WORKERS = 4
_HOLD_MS = 20
_DEADLINE_S = 0.5
_PADDING = 100
_WARM_S = 1.0
_SECONDS = (5.0, 30.0)
_SHARE = 0.9


def overload(run: RowRun) -> list[Bound]:
    """The peak, then each of the first ``run.count`` factors; goodput counts answers in time."""
    seconds = _SECONDS[0 if run.short else 1]
    bounds: list[Bound] = []
    with Server(run.history, {"workers": _WORKERS}) as server, ExitStack() as stack:
        context: zmq.Context[zmq.Socket[bytes]] = stack.enter_context(zmq.Context())
        clients = [
            stack.enter_context(RawClient(context, server.port, f"load{number}", run.history))
            for number in range(_CLIENTS)
        ]
        _closed_loop(clients, _WARM_S)
        from_s = time.monotonic()
        _closed_loop(clients, seconds)
        peak_hz = _goodput_hz(run, from_s, from_s + seconds)
        _drain(clients)
        bounds.append(told("peak", f"{peak_hz:.0f} tasks/s of {_HOLD_MS} ms on {_WORKERS} workers"))
        for number, factor in enumerate(FACTORS[: run.count], 1):
            from_s = time.monotonic()
            _open_loop(clients, factor * peak_hz, seconds, run, factor)
            to_s = time.monotonic()
            _drain(clients)
            bounds += _judged(run, factor, peak_hz, from_s, to_s)
            run.progress(number)
    return bounds


def _closed_loop(clients: Sequence[RawClient], seconds: float) -> None:
    """Keep every client's window full for so long."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        for client in clients:
            while len(client.open) < _WINDOW:
                client.submit(_HOLD_MS, _PADDING, _DEADLINE_S)
        receive_until(clients, lambda: any(len(client.open) < _WINDOW for client in clients), 0.1)


def _open_loop(
    clients: Sequence[RawClient], rate_hz: float, seconds: float, run: RowRun, factor: float
) -> None:
    """Submit at Poisson times; a time that has passed already is made up for at once."""
    rng = run.rng(f"arrivals {factor}")
    began_s = time.monotonic()
    due_s, number = 0.0, 0
    while due_s < seconds:
        wait_s = began_s + due_s - time.monotonic()
        if wait_s > 0:
            receive_until(clients, lambda: False, wait_s)
        clients[number % len(clients)].submit(_HOLD_MS, _PADDING, _DEADLINE_S)
        number += 1
        due_s += rng.expovariate(rate_hz)


def _drain(clients: Sequence[RawClient]) -> None:
    """Wait for the answers that are still due."""
    receive_until(clients, lambda: not any(client.open for client in clients), 4 * _DEADLINE_S)


def _latencies_s(run: RowRun, from_s: float, to_s: float) -> tuple[list[float], int]:
    """Of tasks submitted in that span: seconds to the end of those not refused, and the refused.

    One that was accepted and not answered well counts as endless.
    """
    story = read_story(read_history(run.history.path))
    accepted, refused = [], 0
    for task, submissions in story.submitted.items():
        given = submissions[0]
        if not from_s <= given.t_s < to_s:
            continue
        end = story.terminal[task][0] if task in story.terminal else None
        if end is not None and end.outcome == "busy":
            refused += 1
        else:
            well = end is not None and end.outcome == "remote_ok"
            accepted.append(end.t_s - given.t_s if end is not None and well else math.inf)
    return accepted, refused


def _goodput_hz(run: RowRun, from_s: float, to_s: float) -> float:
    """Answers in time, of tasks submitted in that span, by its seconds."""
    accepted, _ = _latencies_s(run, from_s, to_s)
    return sum(latency_s <= _DEADLINE_S for latency_s in accepted) / (to_s - from_s)


def _judged(run: RowRun, factor: float, peak_hz: float, from_s: float, to_s: float) -> list[Bound]:
    accepted, refused = _latencies_s(run, from_s, to_s)
    goodput_hz = sum(latency_s <= _DEADLINE_S for latency_s in accepted) / (to_s - from_s)
    p99_s = sorted(accepted)[math.ceil(0.99 * len(accepted)) - 1] if accepted else math.inf
    offered_hz = (len(accepted) + refused) / (to_s - from_s)
    return [
        told(f"{factor:g} times: offered", f"{offered_hz:.0f} tasks/s, {refused:,} answered BUSY"),
        at_least(f"{factor:g} times: goodput", _SHARE, goodput_hz / peak_hz, " of the peak"),
        at_most(f"{factor:g} times: p99 of the accepted", _DEADLINE_S, p99_s, " s"),
    ]
