"""Opens and closes a link many times in one process, and looks each time for what is left."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from netem.conformance.leftovers import traces_of
from netem.link import open_link
from offload.link_profiles import get_profile

_OWN_DESCRIPTORS = Path("/proc/self/fd")
_SLEEPER = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


@dataclass(frozen=True, slots=True)
class Cycle:
    """One start and stop.

    Attributes:
        open_s: time until the link was open and its profile set.
        close_s: time until it was closed.
        seen: processes, namespaces, directories and groups that were there while it was open.
        left: what of them was still there right after, each in a few words; also file descriptors,
            threads and children that this process has and had not before.
    """

    open_s: float
    close_s: float
    seen: int
    left: tuple[str, ...]


def run_cycles(
    backend: str, times: int, progress: Callable[[], object] = lambda: None
) -> list[Cycle]:
    """Open and close a link ``times`` over, each with a program running at both ends.

    The first start of a process may leave what later ones use again (a random number source, say):
    one that is not counted goes before.

    Args:
        backend: a backend's name, or ``auto``.
        progress: called after each.

    Raises:
        OffloadError: as :func:`netem.open_link`.
    """
    _cycle(backend)
    cycles = []
    for _ in range(times):
        cycles.append(_cycle(backend))
        progress()
    return cycles


def _cycle(backend: str) -> Cycle:
    before = _own()
    earlier = traces_of(os.getpid())  # children of ours that are no link's, and other links
    begin = time.perf_counter()
    link = open_link(get_profile("wifi"), backend)
    try:
        open_s = time.perf_counter() - begin
        programs = [
            end.popen(_SLEEPER, stdin=subprocess.DEVNULL) for end in (link.device, link.edge)
        ]
        traces = traces_of(os.getpid())
    finally:
        begin = time.perf_counter()
        link.close()
        close_s = time.perf_counter() - begin
    for program in programs:
        program.wait()
    others = {process for process in traces.processes if process[0] != os.getpid()}
    traces = replace(
        traces,
        processes=frozenset(others - earlier.processes),
        files=traces.files - earlier.files,
        names=traces.names - earlier.names,
    )
    after = _own()
    grown = [
        f"{after[what] - count} more {what}"
        for what, count in before.items()
        if after[what] > count
    ]
    seen = len(traces.processes) + len(traces.files)
    return Cycle(open_s, close_s, seen, (*traces.left(), *grown))


def _own() -> dict[str, int]:
    """How much this process holds of what a link could leave in it."""
    children = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return {
        "file descriptors": len(list(_OWN_DESCRIPTORS.iterdir())),
        "threads": threading.active_count(),
        "children": sum(map(len, children)),
    }
