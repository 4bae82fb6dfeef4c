"""The baseline before a run: quiet passes, a starved emulator and a busy machine are void."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from machine import busy_loops, need_tun, need_uml

import netem.__main__
import netem.baseline
from netem import Link, open_link
from netem.backends import BACKENDS
from netem.baseline import BOUNDS, Baseline, fit_baseline, measure_baseline, void_reason
from netem.stalls import StallWatch
from offload.errors import VoidRun
from offload.link_profiles import get_profile

pytestmark = pytest.mark.alone

QUIET = Baseline("uml", 200, 0.2e-3, 0.5e-3, 0.3e-3, 0.2, 0.0, 0.4, BOUNDS["uml"])


def test_every_backend_has_a_bound() -> None:
    assert set(BOUNDS) == {backend.name for backend in BACKENDS}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("rtt_p50_s", 0.9e-3, "median echo 0.90 ms, at most 0.8 ms"),
        ("rtt_p99_s", 3.1e-3, "echo p99 3.10 ms, at most 3 ms"),
        ("wake_p99_s", 3.5e-3, "wake-up p99 3.50 ms, at most 3 ms"),
        ("busy", 0.95, "CPUs busy 95%, at most 90%"),
        ("steal", 0.06, "CPU time stolen 6%, at most 5%"),
    ],
)
def test_each_bound_is_kept_by_itself(field: str, value: float, said: str) -> None:
    assert QUIET.faults == ()
    late = dataclasses.replace(QUIET, **{field: value})
    assert late.faults == (said,)
    assert said in void_reason(late)


def test_a_second_try_counts_and_a_second_fault_is_void(monkeypatch: pytest.MonkeyPatch) -> None:
    late = dataclasses.replace(QUIET, rtt_p99_s=0.2)
    told: list[str] = []

    def measured(*baselines: Baseline) -> None:
        following = iter(baselines)
        monkeypatch.setattr(netem.baseline, "measure_baseline", lambda link: next(following))

    link: Link = None  # type: ignore[assignment]
    measured(QUIET)
    assert fit_baseline(link, told.append, pause_s=0.0) is QUIET
    assert told == []
    measured(late, QUIET)
    assert fit_baseline(link, told.append, pause_s=0.0) is QUIET
    assert len(told) == 1
    measured(late, late)
    with pytest.raises(VoidRun, match=r"void: echo p99 200\.00 ms.*quieter machine"):
        fit_baseline(link, told.append, pause_s=0.0)


@pytest.mark.uml
def test_it_unshapes_the_link_and_sets_the_profile_again(uml_link: Link) -> None:
    wanted = get_profile("congested")
    uml_link.apply(wanted)
    with busy_loops(1) as share:
        found = measure_baseline(uml_link)
        least_busy = share()
    assert uml_link.profile is wanted
    # 110 ms of round trip were set; 200 echoes through the emulator alone take 0.1 ms and more.
    assert 0.02e-3 < found.rtt_p50_s < 20e-3
    assert found.rtt_p50_s <= found.rtt_p99_s
    assert found.echoes == 200
    assert 0.0 < 0.5 * least_busy < found.busy <= 1.0


@contextmanager
def starved(link: Link, stopped_s: float, running_s: float) -> Iterator[None]:
    """Stop the guest, let it run, stop it again ..., as a machine does that has no CPU for it."""
    launcher = link._router._process.pid  # type: ignore[attr-defined]
    with open(f"/proc/{launcher}/task/{launcher}/children") as children:
        guest = int(children.read().split()[0])
    done = threading.Event()

    def starve() -> None:
        while not done.is_set():
            os.kill(guest, signal.SIGSTOP)
            time.sleep(stopped_s)
            os.kill(guest, signal.SIGCONT)
            time.sleep(running_s)

    thread = threading.Thread(target=starve)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.uml
@pytest.mark.chaos
def test_a_starved_emulator_is_void_and_its_stalls_are_seen(leaves_nothing: set[int]) -> None:
    need_uml()
    with open_link(get_profile("wifi"), "uml") as link:
        with starved(link, 0.05, 0.05), StallWatch(link) as stalls:
            # Half of all echoes meet a stop, which lasts up to 50 ms.
            found = measure_baseline(link)
        assert found.rtt_p99_s > 0.02
        assert any("echo p99" in fault for fault in found.faults)
        assert stalls.worst_s() > 0.02
        with pytest.raises(VoidRun, match="echo p99"), starved(link, 0.05, 0.05):
            fit_baseline(link, lambda text: None, pause_s=0.1)
        assert measure_baseline(link).rtt_p50_s < 20e-3


@pytest.mark.uml
@pytest.mark.chaos
def test_a_busy_machine_is_void(uml_link: Link) -> None:
    with busy_loops(2 * len(os.sched_getaffinity(0))) as share:
        found = measure_baseline(uml_link)
        least_busy = share()
    assert 0.0 < 0.5 * least_busy < found.busy
    # Work of lower priority beside the loops may leave them less than the bound of 90 %.
    bound = dataclasses.replace(found.bound, busy=0.5 * least_busy)
    faults = dataclasses.replace(found, bound=bound).faults
    assert any(fault.startswith("CPUs busy") for fault in faults)


@pytest.mark.chaos
def test_measure_of_a_busy_machine_prints_no_table(
    leaves_nothing: set[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    need_tun()

    def fit_when_busy(link: Link, report: Callable[[str], None]) -> Baseline:
        with busy_loops(2 * len(os.sched_getaffinity(0))):
            return fit_baseline(link, report, pause_s=0.1)

    monkeypatch.setattr(netem.baseline, "fit_baseline", fit_when_busy)
    # Less than the loops get, whatever else keeps the CPUs busy at a lower priority.
    low = dataclasses.replace(BOUNDS["tun"], busy=0.05)
    monkeypatch.setitem(netem.baseline.BOUNDS, "tun", low)
    monkeypatch.setattr(netem.__main__, "unwind_on_signals", lambda: None)
    file = tmp_path / "void.json"
    code = netem.__main__.main(["measure", "wifi", "--backend=tun", f"--json={file}"])
    said = capsys.readouterr()
    assert code == 3, said.err
    assert said.out == ""
    assert "error: the run is void: " in said.err
    assert '"void": "the run is void' in file.read_text()


@pytest.mark.uml
def test_the_guest_has_real_time_priority_where_allowed(uml_link: Link) -> None:
    allowed = subprocess.run(["chrt", "-r", "1", "true"], capture_output=True, check=False)
    launcher = uml_link._router._process.pid  # type: ignore[attr-defined]
    with open(f"/proc/{launcher}/task/{launcher}/children") as children:
        pids = [launcher, *map(int, children.read().split())]
    assert len(pids) > 1
    wanted = os.SCHED_RR if allowed.returncode == 0 else os.SCHED_OTHER
    assert [os.sched_getscheduler(pid) for pid in pids] == [wanted] * len(pids)
