"""Histories made by hand: a good one, task by task, for tests to spoil."""

from __future__ import annotations

import hashlib

from evidence.chaos.history import (
    ClientStarted,
    Ended,
    Event,
    Reported,
    Started,
    Submitted,
    Terminal,
)

CLIENT_PID, WORKER_PID = 100, 200
N, HOLD_MS, PADDING = 3, 20, 0
DEADLINE_S = 0.5


def digest(task: str) -> str:
    """Of the right answer to N = 3 without padding, worked out by hand: 1 + 4 + 9 = 14 squares.

    Adler-32's lower half is 1 plus the sum of the bytes.
    """
    given = f"{task} 3 20 ".encode("ascii")
    return hashlib.sha256(f"14 {1 + sum(given)}".encode()).hexdigest()


def submitted(task: str, t_s: float, kind: str = "squares", promised: bool = True) -> Submitted:
    return Submitted(t_s, task, "c.0", kind, N, HOLD_MS, PADDING, DEADLINE_S, promised)


def started(task: str, t_s: float, site: str = "edge", pid: int = WORKER_PID) -> Started:
    return Started(t_s, task, site, pid)


def ended(task: str, t_s: float, outcome: str = "remote_ok", waited_s: float = 0.0) -> Terminal:
    answered = outcome in ("remote_ok", "local_ok", "fallback_ok")
    return Terminal(t_s, task, outcome, digest(task) if answered else "", "", waited_s)


def good_history() -> list[Event]:
    """Two tasks: one served by the edge, one that fell back to the device."""
    return [
        ClientStarted(0.0, ["c.0"], CLIENT_PID),
        submitted("a", 1.0),
        started("a", 1.01),
        Ended(1.03, "a", "edge", WORKER_PID),
        Reported(1.035, "a"),
        ended("a", 1.04),
        submitted("b", 2.0),
        started("b", 2.01),
        started("b", 2.4, "device", CLIENT_PID),
        Ended(2.42, "b", "device", CLIENT_PID),
        Reported(2.425, "b"),
        ended("b", 2.43, "fallback_ok"),
    ]
