"""The good client beside an attack, and how it was served meanwhile."""

from __future__ import annotations

import time

from evidence.chaos.client import ClientOptions
from evidence.chaos.history import read_history
from evidence.chaos.invariants import read_story
from evidence.chaos.parts import Clients, Server
from evidence.chaos.rows import Bound, RowRun, at_least, at_most, exactly
from evidence.chaos.scene import Scene

_NAME = "bystander"
_DEADLINE_S = 10.0
_FIRST_S = 30.0
_MIN_TASKS = 10


def bystander(run: RowRun, server: Server) -> Clients:
    """A client with one short task after the other, until its ``with`` block ends."""
    options = ClientOptions(
        _NAME,
        server.port,
        threads=1,
        seed=run.seed,
        hold_ms=(1, 5),
        deadline_s=(_DEADLINE_S, _DEADLINE_S),
        gap_s=0.005,
    )
    return Clients(run.history, options)


def wait_until_served(run: RowRun) -> None:
    """Wait for an answer of the edge from now on."""
    with Scene(run.history) as scene:
        scene.wait_served(1, time.monotonic(), _FIRST_S)


def served(run: RowRun, from_s: float, worst_s: float | None = None) -> list[Bound]:
    """Every task of the good client was served by the edge.

    Args:
        from_s: tasks submitted since then count.
        worst_s: the longest that one may have taken, what the machine held up left out; None: that
            is not asked.
    """
    story = read_story(read_history(run.history.path))
    took_s: list[float] = []
    remote = 0
    for task, (given, *_) in story.submitted.items():
        if given.client.startswith(_NAME) and given.t_s >= from_s and story.terminal[task]:
            end = story.terminal[task][0]
            remote += end.outcome == "remote_ok"
            took_s.append(end.t_s - given.t_s - story.held_s(given, end))
    bounds = [
        at_least("tasks of the good client beside it", _MIN_TASKS, len(took_s)),
        exactly("of them not served by the edge", 0, len(took_s) - remote),
    ]
    if worst_s is not None:
        worst = max(took_s, default=float("nan"))
        bounds.append(at_most("the good client's longest task", worst_s, worst, " s"))
    return bounds
