"""What tests of links need of the machine, what they leave on it, and how they load it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netem.backends import TunBackend, UmlBackend
from netem.layout import STATE_DIRECTORY, living_owner

REPOSITORY = Path(__file__).resolve().parents[2]


def slots_in_use() -> set[int]:
    """Numbers of the links that have left any trace: a namespace, a directory, a process."""
    found = {path.name.split("-")[0] for path in Path("/run/netns").glob("offload*-*")}
    found |= {path.name for path in STATE_DIRECTORY.glob("link-*")}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if command.startswith("linux.uml"):
                found |= set(re.findall(rf"{STATE_DIRECTORY}/(link-\d+)/", command))
    return {int(re.sub(r"\D", "", name)) for name in found}


def owner_of(slot: int) -> int | None:
    """Pid of the live process that owns a link, else None."""
    return living_owner(STATE_DIRECTORY / f"link-{slot}")


def left_behind(before: set[int]) -> set[int]:
    """Links that are there now, were not before, and are not somebody else's living ones."""
    new = slots_in_use() - before
    return {slot for slot in new if owner_of(slot) in {None, os.getpid()}}


def need_tun() -> None:
    found = TunBackend.probe()
    if not found.runs:
        pytest.skip(f"tun backend: {found.reason}")


def need_uml() -> None:
    found = UmlBackend.probe()
    if not found.runs:
        pytest.skip(f"uml backend: {found.reason}")


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def busy_loops(count: int) -> Iterator[Callable[[], float]]:
    """Programs that never rest, at ordinary priority even where the tests run at a lower one.

    Work of a lower priority is no reason for a run to be void. Skips where the priority cannot be
    raised to that.

    Yields:
        What tells the share of all CPUs' time that they have had since they were started: less
        than their number where others are busy too.
    """
    begin_s = time.monotonic()
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        for loop in loops:
            os.setpriority(os.PRIO_PROCESS, loop.pid, 0)
        yield (
            lambda: (
                sum(cpu_s(loop.pid) for loop in loops)
                / (time.monotonic() - begin_s)
                / (os.cpu_count() or 1)
            )
        )
    except PermissionError:
        pytest.skip("the tests run at a lower priority, and programs here may not have a higher")
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def run_cli(*arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "netem", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
