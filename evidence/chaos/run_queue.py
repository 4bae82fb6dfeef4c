"""How long processes have waited for a CPU, as the kernel counts it (schedstat)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def waited_ns(pids: Iterable[int]) -> dict[str, int]:
    """For each thread of these processes: how long it was ready to run, and not run, so far.

    Empty where the kernel does not count it.
    """
    waited: dict[str, int] = {}
    for pid in pids:
        try:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                waited[thread.name] = int((thread / "schedstat").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue
    return waited


def between_s(before: dict[str, int], after: dict[str, int]) -> float:
    """Seconds waited from one reading to the other; of threads that have ended nothing is known."""
    return sum(ns - before.get(thread, 0) for thread, ns in after.items()) / 1e9
