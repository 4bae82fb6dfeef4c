"""How long processes have waited for a CPU, as the kernel counts it (schedstat)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def waited_s(pids: Iterable[int]) -> float:
    """Seconds that the threads of these processes were ready to run, and not run, since they began.

    0 where the kernel does not count it. Threads that have ended are left out, so the difference of
    two readings may fall short of the truth, and never exceeds it but for threads waiting at once.
    """
    total_ns = 0
    for pid in pids:
        try:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                total_ns += int((thread / "schedstat").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue
    return total_ns / 1e9
