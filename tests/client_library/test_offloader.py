"""What a program gets back, whatever has become of its tasks. Real server, real child process."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from concurrent.futures import wait

import pytest
from running_edge_server import RunningServer, free_port, wait_until

from client_library.offloader import MOST_AT_ONCE
from offload import TaskReport, connect
from offload.engine import TaskRecord
from offload.errors import ConfigError, UnknownNameError
from offload.local_executor import LocalExecutor
from offload.types import Outcome, Placement


def test_the_edge_does_it_and_the_report_says_so(port, offloader):
    made = offloader(port, policy="always-edge")
    assert wait_until(lambda: made._sides.local.pid and not made._queue.backlog_s())
    report = made.run("echo", b"hello", deadline_s=60.0, local_s=0.2)
    assert isinstance(report, TaskReport)
    assert (report.outcome, report.site, report.output) == (Outcome.REMOTE_OK, "edge", b"hello")
    assert (report.ok, report.deadline_met, report.reason) == (True, True, "")
    assert (report.placed, report.policy) == (Placement.EDGE, "always-edge")
    assert report.predicted_device.seconds == pytest.approx(0.2)
    assert report.predicted_device.energy_j == pytest.approx(0.2 * 5.0)  # 5 W
    assert 0 < report.measured.seconds <= report.seconds < 60.0
    assert report.measured.energy_j > 0
    assert report.why.startswith("always-edge placed it at the edge (predicted: ")
    assert "done by the edge after" in report.why


def test_the_device_does_it_in_a_child_and_never_in_the_program(port, offloader):
    made = offloader(port, policy="always-local")
    report = made.run("pid", b"", deadline_s=60.0, local_s=0.1)
    assert (report.outcome, report.site) == (Outcome.LOCAL_OK, "device")
    assert int(report.output) != os.getpid()
    assert report.measured.energy_j == pytest.approx(5.0 * report.measured.compute_s)


def test_a_kind_nobody_knows_is_measured_here_first(port, offloader):
    made = offloader(port, policy="always-edge")
    first, second = (made.run("echo", b"x", deadline_s=60.0) for _ in range(2))
    assert (first.is_first, first.site, second.is_first, second.site) == (
        True, "device", False, "edge",
    )  # fmt: skip
    assert first.why.startswith("the first of its kind, placed on the device to be measured")


@pytest.mark.measured
def test_predictions_follow_what_was_measured(port, offloader):
    made = offloader(port, policy="always-local")
    reports = [made.run("sleep", b"0.2", deadline_s=60.0, local_s=3.0) for _ in range(3)]
    assert reports[0].predicted_device.compute_s == pytest.approx(3.0)
    # The first run replaces what was said, since it was never measured; then a moving mean.
    assert reports[1].predicted_device.compute_s == pytest.approx(0.2, abs=0.05)
    assert reports[2].predicted_device.compute_s == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("kind", ["crash", "exit"])
def test_poison_kills_neither_program_nor_offloader(port, offloader, kind):
    made = offloader(port, policy="always-edge")
    report = made.run(kind, b"", deadline_s=60.0, local_s=0.01)
    assert (report.outcome, report.site, report.ok) == (Outcome.FAILED, "", False)
    assert "worker_died" in report.reason
    assert "the process that ran the task died" in report.reason
    assert "failed after" in report.why
    assert made.run("echo", b"on", deadline_s=60.0, local_s=0.01).output == b"on"


def test_nobody_there_and_everything_is_done_here(offloader):
    made = offloader(free_port(), policy="always-edge")
    reports = [made.run("echo", b"x", deadline_s=60.0, local_s=0.05) for _ in range(3)]
    assert {report.outcome for report in reports} == {Outcome.FALLBACK_OK}
    assert all("RemoteDisconnected" in report.reason for report in reports)
    assert wait_until(lambda: "no edge server answers" in made.why_down)


@pytest.mark.measured
def test_every_task_ends_by_its_deadline(port, offloader):
    made = offloader(port, policy="always-edge")
    start_s = time.monotonic()
    report = made.run("sleep", b"3", deadline_s=0.6, local_s=0.1)
    assert time.monotonic() - start_s < 0.65
    assert (report.outcome, report.deadline_met) == (Outcome.FAILED, False)
    assert "the deadline of 0.6 s has passed" in report.reason
    assert made.run("echo", b"on", deadline_s=60.0, local_s=0.01).ok


def test_many_threads_and_each_task_once(port, offloader):
    records = []
    made = offloader(port, policy="always-edge")
    made._on_record = records.append
    outputs: dict[int, bytes] = {}

    def client(first: int) -> None:
        for number in range(first, first + 5):
            text = b"%d" % number
            outputs[number] = made.run("echo", text, deadline_s=60.0, local_s=0.01).output

    threads = [threading.Thread(target=client, args=(5 * number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {number: b"%d" % number for number in range(30)}
    assert len(records) == len({record.task for record in records}) == 30


def test_futures_and_asyncio(port, offloader):
    made = offloader(port, policy="always-edge")
    futures = [
        made.submit("echo", b"%d" % number, deadline_s=60.0, local_s=0.01) for number in range(8)
    ]
    assert [future.result(30).output for future in futures] == [b"%d" % n for n in range(8)]

    async def several() -> list[TaskReport]:
        return await asyncio.gather(
            *(made.run_async("echo", b"%d" % n, deadline_s=60.0) for n in range(8))
        )

    reports = asyncio.run(several())
    assert [report.output for report in reports] == [b"%d" % number for number in range(8)]
    assert Counter(report.site for report in reports)["edge"] > 0


def test_the_devices_start_is_waited_for_as_predicted(port, offloader, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(LocalExecutor, "warm_up", lambda self, kinds: go_on.wait(60.0) and None)
    made = offloader(port, policy="always-edge")
    made._sides.local.start_s = 30.0
    made._start_child()  # behind the first, which takes a tenth of a second as far as one knows
    report = made.run("echo", b"x", deadline_s=60.0, local_s=0.2)
    go_on.set()
    assert 30.2 <= report.predicted_device.seconds <= 30.3 + 1e-9
    assert report.predicted_device.queue_s == pytest.approx(30.0, abs=0.1 + 1e-9)


def test_close_waits_for_what_was_submitted_and_has_not_begun(port, offloader):
    with offloader(port, policy="always-local") as made:
        n = MOST_AT_ONCE + 20
        asked = {"deadline_s": 60.0, "local_s": 0.01}
        futures = [made.submit("echo", b"%d" % number, **asked) for number in range(n)]
    assert [future.result(0).output for future in futures] == [b"%d" % k for k in range(n)]


def test_close_waits_for_whoever_is_in_run(port, offloader):
    deciding, go_on = threading.Event(), threading.Event()

    class Slow:
        name = "slow"
        sees_truth = False

        def decide(self, context: object) -> int:
            deciding.set()
            go_on.wait(60.0)
            return int(Placement.LOCAL)

    made = offloader(port, policy=Slow())
    reports = list[TaskReport]()
    asked = {"deadline_s": 60.0, "local_s": 0.01}
    caller = threading.Thread(target=lambda: reports.append(made.run("echo", b"x", **asked)))
    caller.start()
    assert deciding.wait(60.0)
    closer = threading.Thread(target=made.close)
    closer.start()
    assert wait_until(lambda: made._closed)
    with pytest.raises(ConfigError, match="closed"):
        made.run("echo", b"y", **asked)
    go_on.set()
    caller.join()
    closer.join()
    assert [report.output for report in reports] == [b"x"]


def test_what_cannot_begin_before_its_deadline_is_not_begun(port, offloader, tmp_path):
    made = offloader(port, policy="always-local")
    noted = tmp_path / "noted"
    late = made.run("note", b"%s late" % bytes(noted), deadline_s=1e-6, local_s=0.01)
    assert (late.outcome, late.deadline_met) == (Outcome.FAILED, False)
    assert late.reason == "its deadline had passed before it could begin"
    assert made.run("note", b"%s next" % bytes(noted), deadline_s=60.0, local_s=0.01).ok
    assert noted.read_text() == "next\n"


def edge_is_busy(server: RunningServer, tasks: int) -> bool:
    return wait_until(lambda: server.server.state().running == tasks)


def test_a_future_that_is_cancelled_frees_the_edge(server, offloader):
    records = list[TaskRecord]()
    made = offloader(server.port, policy="always-edge")
    made._on_record = records.append
    asked = {"deadline_s": 60.0, "local_s": 0.01}
    futures = [made.submit("sleep", b"50", **asked) for _ in range(2)]
    assert edge_is_busy(server, 2)
    assert all(future.cancel() for future in futures)
    assert all(future.cancelled() for future in futures)
    assert wait(futures, 20.0).not_done == set()
    assert [record.outcome for record in records] == [Outcome.CANCELLED] * 2
    assert edge_is_busy(server, 0)
    assert made.submit("echo", b"next", **asked).result(30).output == b"next"
    done = made.submit("echo", b"done", **asked)
    assert (done.result(30).output, done.cancel()) == (b"done", False)
    assert made.late_answers == 0


def test_one_that_waits_its_turn_is_not_begun_when_it_is_cancelled(server, offloader):
    made = offloader(server.port, policy="always-edge")
    asked = {"deadline_s": 60.0, "local_s": 0.01}
    busy = [made.submit("sleep", b"50", **asked) for _ in range(MOST_AT_ONCE)]
    last = made.submit("echo", b"never", **asked)
    assert last.cancel()
    for future in busy:
        future.cancel()
    assert wait([*busy, last], 20.0).not_done == set()
    assert edge_is_busy(server, 0)
    assert server.server._mailbox.tally.outcomes["ok"] == 0


def test_an_awaiting_that_is_cancelled_frees_the_edge(server, offloader):
    made = offloader(server.port, policy="always-edge")

    async def program() -> TaskReport:
        task = asyncio.create_task(made.run_async("sleep", b"50", deadline_s=60.0, local_s=0.01))
        assert await asyncio.to_thread(edge_is_busy, server, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(made.run_async("sleep", b"50", deadline_s=60.0), 1.0)
        return await made.run_async("echo", b"next", deadline_s=60.0, local_s=0.01)

    assert asyncio.run(program()).output == b"next"
    assert edge_is_busy(server, 0)


def test_async_with_closes(port):
    async def program() -> TaskReport:
        async with connect(port=port) as made:
            report = await made.run_async("sudoku", b"", deadline_s=60.0)
        with pytest.raises(ConfigError, match="closed"):
            await made.run_async("sudoku", b"", deadline_s=60.0)
        return report

    report = asyncio.run(program())
    assert report.outcome is Outcome.FAILED  # an empty payload is none
    assert "sudoku" in report.reason


def test_bad_settings_are_clear_errors(port, offloader):
    with pytest.raises(UnknownNameError, match="maui-measured"):
        offloader(port, policy="maui-measurd")
    with pytest.raises(ConfigError, match="run_task is"):
        connect(port=port, run_task=lambda kind, payload: payload)
    made = offloader(port, policy="always-local")
    for deadline_s in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="deadline_s is"):
            made.run("echo", b"", deadline_s=deadline_s)
    with pytest.raises(ConfigError, match="local_s is 0"):
        made.run("echo", b"", deadline_s=1.0, local_s=0.0)


@pytest.mark.parametrize("policy", ["ppo", "dqn", "maui-measured"])
def test_policies_by_name_decide_on_the_measured_link(port, offloader, policy):
    """A task ten times slower here, over the loopback: there is nothing to weigh up."""
    made = offloader(port, policy=policy, slowdown=10.0)
    assert wait_until(lambda: made._sides.link.state().uplink_bps > 50e6, 20.0)
    reports = [made.run("sleep", b"0.3", deadline_s=60.0, local_s=3.0) for _ in range(2)]
    assert [report.site for report in reports] == ["edge", "edge"]
    assert {report.policy for report in reports} == {policy}
