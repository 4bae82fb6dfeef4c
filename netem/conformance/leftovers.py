"""What a link's owner has on the machine, and what of it is there once the owner has ended."""

from __future__ import annotations

import contextlib
import math
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from netem.conformance.check import Check
from netem.layout import STATE_DIRECTORY, living_owner
from netem.link import open_link
from netem.namespaces import NAMED_NAMESPACES, process_start, processes_in
from offload.errors import BackendError
from offload.link_profiles import get_profile

_ROOT = Path(__file__).resolve().parents[2]
_CGROUPS = Path("/sys/fs/cgroup")
_PATIENCE_S = 5.0
_START_S = 40.0
_LINK_NUMBER = re.compile(r"(?:link-|offload)(\d+)")
ENDINGS = ("close", "exception", "SIGKILL")


@dataclass(frozen=True, slots=True)
class Traces:
    """What is there because of one process.

    Attributes:
        owner: its pid.
        processes: pid and start time of what descends from it or runs in its namespaces.
        files: its state directories and namespace files.
        names: the names of its namespaces, as they stand in mounts; its cgroups' paths.
    """

    owner: int
    processes: frozenset[tuple[int, int]]
    files: frozenset[Path]
    names: frozenset[str]

    def left(self) -> list[str]:
        """What of it is still there, each in a few words.

        A link's number is free once it is closed: what another owner has under it is none of this.
        """
        others = {
            path.name.removeprefix("link-")
            for path in STATE_DIRECTORY.glob("link-*")
            if living_owner(path) not in {None, self.owner}
        }

        def is_own(name: str) -> bool:
            found = _LINK_NUMBER.match(name)
            return found is None or found[1] not in others

        mounts = Path("/proc/self/mountinfo").read_text()
        mounted = [name for name in self.names if f"/{name} " in mounts]
        interfaces = {path.name for path in Path("/sys/class/net").iterdir()}
        return [
            *(f"process {pid}" for pid, start in self.processes if _runs_since(pid) == start),
            *(str(path) for path in self.files if path.exists() and is_own(path.name)),
            *(f"a mount of {name}" for name in mounted if is_own(name)),
            *(f"device {name}" for name in interfaces if re.fullmatch(r"(device|edge)\d", name)),
        ]


def traces_of(owner: int) -> Traces:
    """Look at what a living process has opened and started."""
    states = {path for path in STATE_DIRECTORY.glob("link-*") if living_owner(path) == owner}
    slots = {state.name.removeprefix("link-") for state in states}
    namespaces = {path for slot in slots for path in NAMED_NAMESPACES.glob(f"offload{slot}-*")}
    pids = _descendants(owner) | {pid for path in namespaces for pid in processes_in(path)}
    starts = {(pid, start) for pid in pids if (start := _runs_since(pid)) is not None}
    cgroups = {
        path
        for path in (*_CGROUPS.glob("offload*"), *_CGROUPS.glob("*/offload*"))
        if pids & {int(number) for number in re.findall(r"\d+", path.name)}
    }
    return Traces(
        owner,
        frozenset(starts),
        frozenset(states | namespaces | cgroups),
        frozenset(path.name for path in namespaces),
    )


def check_endings(backend: str) -> list[Check]:
    """Open links in processes of their own, end each process another way, look for what is left.

    After SIGKILL the next link is opened first, which clears away what a dead owner left.

    Raises:
        BackendError: an owner could not open its link.
    """
    with contextlib.ExitStack() as stack:
        owners = {ending: stack.enter_context(_owner(backend, ending)) for ending in ENDINGS}
        for owner in owners.values():
            if owner.stdout is None or owner.stdout.readline() != "open\n":
                raise BackendError(f"no link over {backend} opened in a process of its own")
        return [_check_ending(backend, ending, owner) for ending, owner in owners.items()]


@contextlib.contextmanager
def _owner(backend: str, ending: str) -> Iterator[subprocess.Popen[str]]:
    owner = subprocess.Popen(
        [sys.executable, "-m", "netem.conformance.owner", backend, ending],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with owner:
        try:
            yield owner
        finally:
            owner.kill()


def _check_ending(backend: str, ending: str, owner: subprocess.Popen[str]) -> Check:
    """End an owner whose link is open; what it had must go."""
    traces = traces_of(owner.pid)
    if ending == "SIGKILL":
        owner.send_signal(signal.SIGKILL)
    elif owner.stdin is not None:
        owner.stdin.write("end\n")
        owner.stdin.flush()
    owner.wait(_START_S)
    if ending == "SIGKILL":
        open_link(get_profile("lan"), backend).close()
    deadline = time.monotonic() + _PATIENCE_S
    while (left := traces.left()) and time.monotonic() < deadline:
        time.sleep(0.02)
    had = len(traces.processes) + len(traces.files)
    return Check(
        f"left after {ending}",
        "processes, namespaces, devices, mounts, cgroups, files",
        "both",
        "",
        0.0,
        float(len(left)) if had > 1 else math.nan,  # an owner without traces proves nothing
        0.0,
        0.0,
        had,
        ", ".join(left) or f"{had} traces while it ran",
    )


def _runs_since(pid: int) -> int | None:
    found = process_start(pid)
    return None if found is None else found[1]


def _descendants(root: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (start := process_start(int(entry.name))) is not None:
            parents[int(entry.name)] = start[0]
    found = {root}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return found
