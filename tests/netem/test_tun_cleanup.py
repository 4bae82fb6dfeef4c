"""The emulator ends with its owner, whatever ends that; its own end is an error with its words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machine import REPOSITORY, left_behind, need_tun, owner_of, slots_in_use

from netem import open_link
from netem.namespaces import process_start
from offload.errors import BackendError
from offload.link_profiles import get_profile

pytestmark = pytest.mark.chaos

OWNER = """
import os, time
from netem import open_link
from offload.link_profiles import get_profile
link = open_link(get_profile("wifi"), "tun")
print(link._layout.slot, link._router._process.pid, flush=True)
{then}
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _runs_here(leaves_nothing: set[int]) -> None:
    need_tun()


def start_owner(then: str = "") -> tuple[subprocess.Popen[str], int, int]:
    """A process that opened a link, the link's slot, and its emulator's pid."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(then=then)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert owner.stdout is not None
    with owner.stdout:
        slot, emulator = map(int, owner.stdout.readline().split())
    assert owner_of(slot) == owner.pid
    assert process_start(emulator) is not None
    return owner, slot, emulator


def ended(pid: int, within_s: float = 3.0) -> bool:
    until = time.monotonic() + within_s
    while process_start(pid) is not None and time.monotonic() < until:
        time.sleep(0.01)
    return process_start(pid) is None


def test_killed_owner_takes_the_emulator_along_and_the_next_link_clears_the_rest(
    leaves_nothing: set[int],
) -> None:
    owner, slot, emulator = start_owner()
    owner.kill()
    owner.wait()
    assert ended(emulator)
    assert slot in slots_in_use()  # the namespaces and the claim outlive a killed owner
    with open_link(get_profile("wifi"), "tun"):
        pass
    assert left_behind(leaves_nothing) == set()
    assert slot not in slots_in_use()


def test_killed_owner_with_a_forked_child_takes_the_emulator_along() -> None:
    """The child holds a copy of the socket's end, so that alone would not tell."""
    then = "child = os.fork() or time.sleep(2) or os._exit(0)"
    owner, _, emulator = start_owner(then)
    time.sleep(0.2)
    owner.kill()
    owner.wait()
    assert ended(emulator, within_s=1.0)
    with open_link(get_profile("wifi"), "tun"):
        pass


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_the_owner_closes_the_link(ending: signal.Signals) -> None:
    owner, slot, emulator = start_owner()
    owner.send_signal(ending)
    owner.wait(timeout=10)
    assert ended(emulator)
    assert slot not in slots_in_use()


def test_exception_closes_the_link(leaves_nothing: set[int]) -> None:
    emulators = []

    def fail() -> None:
        with open_link(get_profile("wifi"), "tun") as link:
            emulators.append(link._router._process.pid)  # type: ignore[attr-defined]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ended(emulators[0])
    assert left_behind(leaves_nothing) == set()


def test_interface_taken_away_is_an_error_with_the_last_words() -> None:
    with open_link(get_profile("wifi"), "tun") as link:
        emulator = link._router._process.pid  # type: ignore[attr-defined]
        subprocess.run(["ip", "-n", link.edge.namespace, "link", "delete", "edge0"], check=True)
        assert ended(emulator)
        with pytest.raises(BackendError, match=r"emulator ended. It said:\n(.*\n)*OSError"):
            link.apply(get_profile("lte"))


def test_killed_emulator_is_an_error_at_once() -> None:
    with open_link(get_profile("wifi"), "tun") as link:
        os.kill(link._router._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        begin = time.monotonic()
        with pytest.raises(BackendError, match=r"emulator ended. It said:\nnothing \(exit -9\)"):
            link.stats()
        assert time.monotonic() - begin < 2.0


def test_failed_start_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netem.backends.tun.closed_tun_device", lambda: None)
    monkeypatch.setattr("netem.backends.tun.emulator_command", lambda *_: ["false"])
    with pytest.raises(BackendError, match="cannot open a tap port: nothing"):
        open_link(get_profile("wifi"), "tun")


def test_fifty_changes_leave_descriptors_and_memory_alone() -> None:
    with open_link(get_profile("wifi"), "tun") as link:
        open_files = Path(f"/proc/{link._router._process.pid}/fd")  # type: ignore[attr-defined]
        before = len(list(open_files.iterdir()))
        for _ in range(25):
            link.apply(get_profile("lte"))
            link.apply(get_profile("lan"))
        assert len(list(open_files.iterdir())) == before
