"""From made-up runs, whose crossover follows by hand, to tables and sentences."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from evidence.sweeps.folder import write_folder
from evidence.sweeps.model import draw_waiting, median_wait, predicted
from evidence.sweeps.outcome import evaluate_sweep
from evidence.sweeps.plan import Step, plan_block
from evidence.sweeps.record import BlockEnd, Record, Run, Session
from evidence.sweeps.settings import Settings
from offload.errors import ConfigError
from offload.tasks.profile_table import load_profile_table
from offload.types import PlacementCost
from testbed.calibration import Calibration

TABLE = load_profile_table()
LOCAL_S = 1.0
BITS = 8e5
"""The made-up task sends so many, at exactly the link's rate."""


def settings(**others: object) -> Settings:
    given = {
        "sweep": "bandwidth",
        "profile": "lte",
        "points": (0.25e6, 0.5e6, 1e6, 2e6, 4e6),
        "repeats": 6,
        "tasks": ("ocr/medium",),
        "controls": ("cubic",),
        "backend": "auto",
        "slowdown": 4.0,
        "seed": 0,
    }
    return Settings(**{**given, **others})


def session(control: str = "cubic") -> Session:
    return Session(
        control=control, backend="uml", reason="uml: here", limits=(), calibration=(1.0, 1.0),
        limit=("cgroup-v1", ""), baseline={}, origin={},
    )  # fmt: skip


def run(step: Step, asked: Settings, block: int, cost: PlacementCost | None, **others) -> Run:
    given = {
        "control": "cubic",
        "attempt": 0,
        "seed": 1,
        "budget_s": 5.0,
        "input_bytes": 100_000,
        "output_bytes": 100,
        "correct": True,
        "detail": "",
    }
    value = asked.points[step.point]
    return Run(
        block=block, point=step.point, value=value, task=0, name=asked.tasks[0],
        on_edge=step.on_edge, cost=cost, **{**given, **others},
    )  # fmt: skip


def edge_cost(rate_bps: float) -> PlacementCost:
    return PlacementCost(BITS / rate_bps, 0.0, 0.2, 0.0, 0.0, 0.0)


def filled(folder, asked: Settings, *, give_up_s: float = math.inf) -> Record:
    """A record of all repetitions: 1 s on the device, 0.2 s plus the upload at the edge."""
    record = Record(folder)
    record.add(session())
    for number in range(asked.repeats):
        for step in (s for visit in plan_block(asked, number).visits for s in visit):
            cost: PlacementCost | None = PlacementCost(0.0, 0.0, LOCAL_S, 0.0, 0.0, 0.0)
            if step.on_edge:
                cost = edge_cost(asked.points[step.point])
                if cost.seconds > give_up_s:
                    cost = None
            record.add(run(step, asked, number, cost))
        record.add(BlockEnd("cubic", number, 0, {}, ()))
    return record


def test_latency_crosses_where_the_upload_takes_what_the_edge_saves(tmp_path):
    asked = settings()
    filled(tmp_path, asked)
    sentences = write_folder(tmp_path, asked, TABLE, Record(tmp_path), ("a note",))
    with (tmp_path / "crossovers.csv").open() as file:
        rows = {row["criterion"]: row for row in csv.DictReader(file)}
    # 0.2 s + 0.8 Mbit / rate = 1 s at 1 Mbit/s, which is a point of the sweep.
    assert float(rows["latency"]["crossover"]) == pytest.approx(1.0)
    assert rows["latency"]["better"] == "crosses"
    # Radio awake, at 0.25 Mbit/s: 0.35 J of moving bits, 3.2 s of 1.288 W and 0.2 s of 0.2 W make
    # 4.51 J, less than 5 W for 1 s. With the LTE tail, 12.6 J more, it never pays.
    assert (rows["energy-awake"]["better"], rows["energy"]["better"]) == ("edge", "device")
    assert rows["energy"]["crossover"] == "inf"
    assert sentences[0].startswith(
        "OCR of a page of 4 lines, latency: offload while the uplink is above 1.0 [1.0, 1.0] Mbit/s"
        " (lte: 40 ms, 0.3 % loss, a device 4 times slower; CUBIC; model: "
    )
    assert sentences[1].startswith(
        "OCR of a page of 4 lines, energy (modelled): stay on the device all the way from 0.25 to"
        " 4 Mbit/s ("
    )
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["sentences"] == sentences
    assert summary["notes"] == ["a note"]
    figures = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {f"crossovers-bandwidth-latency{end}" for end in (".png", ".svg", ".txt")} <= figures


def test_energy_crosses_where_the_radio_spends_what_the_cpu_would(tmp_path):
    asked = settings(points=(0.1e6, 0.2e6, 0.4e6))
    (_, _, awake) = evaluate_sweep(asked, TABLE, filled(tmp_path, asked))
    assert awake.measured is not None
    # ln(edge / device) at the points: joules are 0.35072 + 1.28804 * 0.8 / rate + 0.04, over 5,
    # and 100 bytes down, which is 4e-8 * 800 J.
    joules = [0.35072 + 0.04 + 1.28804 * 0.8 / rate for rate in (0.1, 0.2, 0.4)]
    assert awake.measured.medians == pytest.approx([math.log(j / 5.0) for j in joules], abs=1e-4)
    share = math.log(joules[1] / 5.0) / math.log(joules[1] / joules[2])
    assert math.exp(awake.measured.position) / 1e6 == pytest.approx(0.2 * 2**share, rel=1e-3)


def test_a_run_given_up_counts_as_dearer_and_never_as_unknown(tmp_path):
    asked = settings()
    latency, energy, _ = evaluate_sweep(asked, TABLE, filled(tmp_path, asked, give_up_s=3.0))
    assert list(latency.given_up) == [6, 0, 0, 0, 0]
    assert latency.measured is not None
    assert latency.measured.medians[0] == pytest.approx(math.log(5.0))  # its budget over 1 s
    assert math.exp(latency.measured.position) == pytest.approx(1e6)
    assert (latency.unknown, energy.unknown) == (0, 0)


def test_what_a_run_given_up_leaves_unknown_is_left_out_and_counted(tmp_path):
    """Wi-Fi draws 0.133 W: five seconds of it are less than the device's 5 J."""
    asked = settings(profile="wifi")
    _, _, awake = evaluate_sweep(asked, TABLE, filled(tmp_path, asked, give_up_s=3.0))
    assert awake.unknown == 6
    assert list(awake.known) == [False, True, True, True, True]
    assert awake.measured is not None
    assert len(awake.measured.fitted) == 4


def test_a_void_attempt_and_an_unfinished_repetition_count_for_nothing(tmp_path):
    asked = settings(repeats=1)
    record = Record(tmp_path)
    step = Step(0, 0, True)
    record.add(run(step, asked, 0, edge_cost(1e6)))
    record.add(BlockEnd("cubic", 0, 0, {}, ("echo p99 9 ms",)))
    assert (record.attempt("cubic", 0), record.is_through("cubic", 0)) == (1, False)
    assert record.done("cubic", 0) == set()
    record.add(run(step, asked, 0, edge_cost(2e6), attempt=1))
    assert record.done("cubic", 0) == {step}
    assert record.counted("cubic") == []
    record.add(BlockEnd("cubic", 0, 1, {}, ()))
    assert [line.cost.upload_s for line in Record(tmp_path).counted("cubic")] == [0.4]


def test_a_line_cut_off_by_a_kill_is_dropped_and_a_damaged_one_is_named(tmp_path):
    asked = settings()
    record = Record(tmp_path)
    record.add(session())
    record.add(run(Step(0, 0, True), asked, 0, edge_cost(1e6)))
    whole = record.path.read_bytes()
    record.path.write_bytes(whole + b'{"type":"run","cont')
    again = Record(tmp_path)
    assert again.lines == record.lines
    assert record.path.read_bytes() == whole
    record.path.write_bytes(b"{}\n" + whole)
    with pytest.raises(ConfigError, match="line 1"):
        Record(tmp_path)


def test_another_sweeps_folder_is_refused_with_each_difference(tmp_path):
    asked = settings()
    stored = json.loads(json.dumps(asked.as_dict()))
    asked.check_same(stored, tmp_path)
    with pytest.raises(ConfigError, match="repeats is 3 now and was 6; seed is 5 now and was 0"):
        settings(repeats=3, seed=5).check_same(stored, tmp_path)


def test_the_models_wait_behind_other_users_is_that_of_an_m_d_1_queue():
    # Erlang's waiting-time distribution of M/D/1: P(W <= t) = (1 - u) * sum over k up to t of
    # (u (k - t))^k exp(-u (k - t)) / k!
    def share_within(t: float, u: float) -> float:
        terms = (
            (u * (k - t)) ** k * math.exp(-u * (k - t)) / math.factorial(k)
            for k in range(int(t) + 1)
        )
        return (1.0 - u) * sum(terms)

    assert median_wait(0.4) == 0.0
    for utilisation in (0.6, 0.75, 0.9):
        assert share_within(median_wait(utilisation), utilisation) == pytest.approx(0.5, abs=0.02)


def test_as_many_tasks_wait_at_first_as_the_queue_holds_on_average():
    # Pollaczek and Khinchine: the work in an M/D/1 queue is u / (2 (1 - u)) services on average.
    rng = np.random.default_rng(3)
    drawn = [draw_waiting(rng, 0.75) for _ in range(20_000)]
    assert np.mean(drawn) == pytest.approx(1.5, abs=0.1)
    assert {draw_waiting(rng, 0.0) for _ in range(20)} == {0}


def test_the_model_scales_the_side_that_is_swept():
    row = next(row for row in TABLE.rows if (row.kind, row.size) == ("ocr", "medium"))
    asked = settings(sweep="device-speed", points=(1.0, 8.0))
    machine = Calibration(1.5, 1.0)
    quick, _ = predicted(asked, row, 1.0, machine, "cubic", None)
    slow, edge = predicted(asked, row, 8.0, machine, "cubic", None)
    assert quick.seconds == pytest.approx(1.5 * row.local_s / 4.0)
    assert slow.seconds == pytest.approx(8.0 * quick.seconds)
    loaded = settings(sweep="edge-load", points=(0.0, 0.9))
    _, behind = predicted(loaded, row, 0.9, machine, "cubic", 0.4)
    assert behind.seconds - edge.seconds == pytest.approx(0.4 * median_wait(0.9))
