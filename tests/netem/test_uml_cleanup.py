"""Nothing is left of a link, whatever ends its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machine import REPOSITORY, left_behind, need_uml, owner_of, slots_in_use

from netem import open_link
from netem.backends import uml
from netem.namespaces import process_start
from offload.errors import BackendError
from offload.link_profiles import get_profile

pytestmark = [pytest.mark.uml, pytest.mark.chaos]

OWNER = """
import sys, time
from netem import open_link
from offload.link_profiles import get_profile
{before}
link = open_link(get_profile("wifi"), "uml")
sleeper = link.edge.popen(["sleep", "60"])
print(link._layout.slot, sleeper.pid, flush=True)
time.sleep(60)
"""


def start_owner(before: str = "") -> subprocess.Popen[str]:
    """A process that opens a link."""
    return subprocess.Popen(
        [sys.executable, "-c", OWNER.format(before=before)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def opened_by(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Waits until it has; the link's slot, and the pid of a program on its edge."""
    assert process.stdout is not None
    slot, sleeper = map(int, process.stdout.readline().split())
    assert slot in slots_in_use()
    assert owner_of(slot) == process.pid
    assert router_of(slot) is not None
    return slot, sleeper


def router_of(slot: int) -> int | None:
    """Pid of a living User-Mode Linux of that link, helpers included."""
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if command.startswith(b"linux.uml") and f"/link-{slot}/".encode() in command:
            return int(entry.name)
    return None


def end(process: subprocess.Popen[str], signal_number: int) -> int:
    process.send_signal(signal_number)
    code = process.wait(timeout=15)
    assert process.stdout is not None
    process.stdout.close()
    return code


def test_terminated_owner_leaves_nothing_and_its_own_handler_is_kept(
    leaves_nothing: set[int],
) -> None:
    handles = "import signal; signal.signal(signal.SIGTERM, lambda *a: sys.exit(9))"
    ends = [
        ("", signal.SIGTERM, 143),
        ("", signal.SIGINT, -signal.SIGINT),
        (handles, signal.SIGTERM, 9),
    ]
    need_uml()
    processes = [start_owner(before) for before, _, _ in ends]
    for process, (_, signal_number, code) in zip(processes, ends, strict=True):
        slot, sleeper = opened_by(process)
        assert end(process, signal_number) == code
        assert process_start(sleeper) is None
        assert slot not in slots_in_use()


def test_killed_owners_router_dies_and_the_next_link_clears_the_rest(
    leaves_nothing: set[int],
) -> None:
    need_uml()
    process = start_owner()
    slot, sleeper = opened_by(process)
    end(process, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while router_of(slot) is not None and owner_of(slot) is None:
        assert time.monotonic() < deadline, "the router outlived its owner"
        time.sleep(0.02)
    with open_link(get_profile("wifi"), "uml"):
        assert process_start(sleeper) is None


def test_exception_closes_and_a_forked_child_does_not(leaves_nothing: set[int]) -> None:
    """Nor does a file of the guest's stay behind, outside its folder either."""
    need_uml()
    handler = signal.getsignal(signal.SIGTERM)
    before = set(Path("/tmp").iterdir()) | set(Path("/dev/shm").iterdir())
    home = Path.home() / ".uml"
    had_home = home.exists()
    slots = []

    def fail() -> None:
        with open_link(get_profile("lan"), "uml") as link:
            slots.append(link._layout.slot)
            assert slots[0] in left_behind(leaves_nothing)
            pid = os.fork()
            if pid == 0:
                link.close()
                os._exit(0)
            os.waitpid(pid, 0)
            assert link.stats().uplink.sent_packets == 0  # the router answers
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert signal.getsignal(signal.SIGTERM) is handler
    after = set(Path("/tmp").iterdir()) | set(Path("/dev/shm").iterdir())
    assert [path for path in after - before if "uml" in path.name.lower()] == []
    assert home.exists() == had_home
    assert not Path(f"/run/offload-netem/link-{slots[0]}").exists()


def test_failed_boot_is_tried_again_and_shows_the_console(
    leaves_nothing: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    need_uml()
    tries = []

    def broken(layout: object) -> str:
        tries.append(layout)
        return "#!/bin/sh\necho the disk is on fire\nexit 1\n"

    monkeypatch.setattr(uml, "init_script", broken)
    with pytest.raises(BackendError, match="the disk is on fire"):
        open_link(get_profile("wifi"), "uml")
    assert len(tries) == 3


def test_router_that_dies_is_an_error_and_closes(leaves_nothing: set[int]) -> None:
    need_uml()
    with open_link(get_profile("wifi"), "uml") as link:
        process = link._router._process  # type: ignore[attr-defined]
        process.kill()
        process.wait()
        begin = time.monotonic()
        with pytest.raises(BackendError, match="router"):
            link.apply(get_profile("lte"))
        assert time.monotonic() - begin < 2
