"""The pieces of the chaos suite: its tasks, histories, figures, and what its table says."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
import zlib

import msgspec
import pytest
from made_histories import good_history, submitted

from evidence.chaos import history, report, soak
from evidence.chaos.history import Follower, History, HistoryError, Sample, read_history
from evidence.chaos.plan import ROWS, row_called
from evidence.chaos.result import RowResult, read_result, write_result
from evidence.chaos.rows import Bound, at_least, at_most, exactly
from evidence.chaos.run_queue import between_s, waited_ns
from evidence.chaos.tasks import make_input, right_answer, run_noted
from offload.errors import ConfigError, TaskError, UnknownNameError


def test_a_task_gives_what_the_formula_says(tmp_path):
    for n, padding in ((1, 0), (10, 100), (1000, 20_000)):
        with History(tmp_path / "h") as notes:
            output = run_noted("squares", make_input("t", n, 1, padding), "edge", notes)
        assert output == right_answer("t", n, 1, padding)
    assert right_answer("t", 4, 0, 0) == b"30 %d" % (zlib.adler32(b"t 4 0 ") % 65536)


def test_a_task_notes_who_ran_it(tmp_path):
    with History(tmp_path / "h") as notes:
        run_noted("squares", make_input("t", 5, 30, 3), "device", notes)
    began, over = read_history(tmp_path / "h")
    assert (began.task, began.site, began.pid) == ("t", "device", os.getpid())
    assert over.t_s - began.t_s >= 0.03


@pytest.mark.parametrize("payload", [b"", b"a b", b"a b c d", b"\xff 1 1 "])
def test_a_task_refuses_what_is_no_input(payload, tmp_path):
    with History(tmp_path / "h") as notes, pytest.raises(TaskError):
        run_noted("squares", payload, "edge", notes)


def test_a_history_comes_back_by_time(tmp_path):
    events = good_history()
    with History(tmp_path / "h") as notes:
        for event in reversed(events):
            notes.write(event)
    assert read_history(tmp_path / "h") == events


@pytest.mark.parametrize(
    "line", [b"{", b'{"event":"terminal","t_s":1}', b'{"event":"none","t_s":1}']
)
def test_a_line_that_is_no_event_is_an_error_that_names_it(line, tmp_path):
    path = tmp_path / "h"
    with History(path) as notes:
        notes.fault("kill-worker", 7)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(HistoryError, match="h:2 is no event"):
        read_history(path)
    with pytest.raises(HistoryError, match="cannot be read"):
        read_history(tmp_path / "none")


def test_a_follower_waits_for_the_end_of_a_line(tmp_path):
    path = tmp_path / "h"
    text = history._encoder.encode(submitted("a", 1.0)) + b"\n"
    path.write_bytes(text[:10])
    with Follower(path) as follower:
        assert list(follower.new()) == []
        with path.open("ab") as file:
            file.write(text[10:] + text)
        assert [event.task for event in follower.new()] == ["a", "a"]
        assert list(follower.new()) == []


def test_bounds_say_whether_they_hold():
    assert [at_most("x", 2.0, seen).holds for seen in (2.0, 2.1, math.nan)] == [True, False, False]
    assert [at_least("x", 2.0, seen).holds for seen in (2.0, 1.9, math.nan)] == [True, False, False]
    assert [exactly("x", 0, seen).holds for seen in (0, 1)] == [True, False]


def samples(rss_bytes, descriptors, seconds: int) -> list[Sample]:
    return [
        Sample(100.0 + half / 2, 1, int(rss_bytes(half / 2)), descriptors(half / 2))
        for half in range(2 * seconds)
    ]


def test_a_soak_finds_growth_and_leaks():
    mib = 2**20
    steady = samples(lambda t: 30 * mib, lambda t: 20, 80)
    assert all(bound.holds for bound in soak.held("server", steady, 100.0, 8))
    # 12 MiB an hour, and 8, from the beginning
    for rate, holds in ((12, False), (8, True)):
        grown = samples(lambda t, rate=rate: 30 * mib + rate * mib * t / 3600, lambda t: 20, 80)
        growth, *_ = soak.held("server", grown, 100.0, 8)
        assert growth.holds is holds
        assert float(growth.seen.split()[0]) == pytest.approx(rate, rel=0.01)
    leaking = samples(lambda t: 30 * mib, lambda t: 20 + int(t / 30), 80)
    assert [bound.holds for bound in soak.held("server", leaking, 100.0, 8)] == [True, False, True]


def test_a_soak_lets_be_what_comes_before_it_is_warm_and_while_a_worker_is_replaced():
    mib = 2**20
    warming = samples(lambda t: 30 * mib + min(t, 15) * mib, lambda t: 20, 80)
    assert all(bound.holds for bound in soak.held("server", warming, 100.0, 8))
    restarting = samples(lambda t: 30 * mib, lambda t: 18 if t % 10 < 6 else 20, 80)
    assert all(bound.holds for bound in soak.held("server", restarting, 100.0, 8))


def result(**fields: object) -> RowResult:
    whole = {"name": "worker-kill", "fault": "a kill", "count": 3, "unit": "kills", "short": True}
    return RowResult(**{**whole, "seed": 0, "seconds": 1.0, **fields})  # type: ignore[arg-type]


def test_a_result_passes_only_when_all_of_it_holds():
    held, missed = Bound("x", "0", "0", True), Bound("x", "0", "1", False)
    assert result(bounds=(held,), broken={"lost": 0}).passed
    assert not result(bounds=(held, missed)).passed
    assert not result(broken={"lost": 1}).passed
    assert not result(error="it could not start").passed
    assert result(promised=100, excused=5).passed
    assert not result(promised=100, excused=6).passed  # void: the machine was too busy


def test_a_result_is_kept_and_read_again(tmp_path):
    assert read_result(tmp_path) is None
    kept = result(bounds=(Bound("x", "0", "0", True),), outcomes={"remote_ok": 3})
    write_result(tmp_path, kept)
    assert read_result(tmp_path) == kept
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ConfigError, match="no result of a chaos row"):
        read_result(tmp_path)


def test_the_table_and_the_complaints_name_what_failed(tmp_path):
    results = [
        result(bounds=(Bound("kills in mid-task", "3", "2", False),), broken={"lost": 2, "late": 0},
               examples=("lost: a: submitted, and never heard of again",)),
        result(name="stopped", error="the server did not start"),
        result(name="link", promised=10, excused=9),
        result(name="flood"),
    ]  # fmt: skip
    report.write_report(tmp_path, results)
    lines = (tmp_path / report.TABLE).read_text().splitlines()
    assert len(lines) == 2 + 2 + 1 + 1 + 1
    assert "| lost 2; 0 tasks | **FAIL** |" in lines[2]
    assert "kills in mid-task: 3 | 2 | **FAIL**" in lines[3]
    assert "the server did not start | **FAIL**" in lines[4]
    assert "**void**" in lines[5]
    assert "| all hold; 0 tasks | **pass** |" in lines[6]
    kept = msgspec.json.decode((tmp_path / report.RESULTS).read_bytes())
    assert [row["passed"] for row in kept["rows"]] == [False, False, False, True]
    said = "\n".join(report.complaints(results))
    assert "worker-kill: lost: a" in said
    assert "worker-kill: kills in mid-task: 2, required: 3" in said
    assert "stopped: the server did not start" in said
    assert "link: void" in said


def test_rows_are_told_apart_by_name():
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(row.full >= row.short >= 1 and 0 < row.share <= 1 for row in ROWS)
    with pytest.raises(UnknownNameError, match="Did you mean 'soak'"):
        row_called("soaked")


def test_time_without_a_cpu_is_counted_by_thread():
    before = {"1": 5_000_000, "2": 9_000_000_000}  # the second has ended since
    assert between_s(before, {"1": 25_000_000, "3": 10_000_000}) == pytest.approx(0.03)
    assert between_s(before, before) == 0.0


def test_the_kernel_counts_two_threads_on_one_cpu_as_waiting():
    """Two processes spin on one CPU for 0.4 s: together they wait about 0.4 s."""
    cpu = min(os.sched_getaffinity(0))
    spin = "import os, time; os.sched_setaffinity(0, {%d}); print(flush=True)\nwhile True: pass"
    spinners = [
        subprocess.Popen([sys.executable, "-c", spin % cpu], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        for spinner in spinners:
            assert spinner.stdout is not None
            spinner.stdout.readline()
        pids = [spinner.pid for spinner in spinners]
        before = waited_ns(pids)
        if not before:
            pytest.skip("this kernel does not count how long threads wait (no schedstat)")
        time.sleep(0.4)
        assert between_s(before, waited_ns(pids)) > 0.2
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.communicate()
