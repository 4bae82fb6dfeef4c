"""Calibrating with made-up logs whose factors are known, and using what comes of it."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from made_runs import QUIET, made_folder, made_pair
from rich.console import Console

from envs.calibration import ServerFit, TransferFit, load_calibration, table_of
from envs.config import EnvConfig
from envs.scenario import draw_scenario
from envs.workload import WorkloadTable
from evidence.agreement.calibrate_command import calibrate
from evidence.agreement.command import agree
from evidence.agreement.compare import compare
from evidence.agreement.refit import OWN_SIGMA, told_by
from evidence.agreement.stored import load_run
from evidence.agreement.validation import cross_validate
from offload.cost_model import transfer
from offload.errors import ConfigError
from offload.tasks.profile_table import load_profile_table
from offload.types import LinkState, PairedRun
from train import TrainOptions, main

TABLE = load_profile_table()
LINK = LinkState(0.05, 0.005, 0.01, 10e6, 30e6)
LOCAL, EDGE, UP, DOWN = 1.3, 0.8, 1.2, 0.9
FIXED_S, PER_BYTE_S = 2e-3, 3e-9
QUIET_CONSOLE = Console(width=100, quiet=True)


def made_pairs(rounds: int, seed: int = 3) -> list[PairedRun]:
    """Tasks of a machine with those factors: transfers off by e^±0.1, seconds by e^±0.05."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(rounds):
        for row in TABLE.rows:
            pair = made_pair(
                f"{row.kind}/{row.size}",
                predicted=(row.local_s, row.edge_s),
                n_bytes=float(row.input_bytes),
                budget_s=1e3,
                link=LINK,
            )
            moved = transfer(LINK, pair.predicted, "cubic")
            off = np.exp(rng.choice([-1.0, 1.0], 4) * np.array([0.05, 0.05, 0.1, 0.1]))
            local = dataclasses.replace(pair.local, compute_s=LOCAL * row.local_s * off[0])
            edge = dataclasses.replace(
                pair.edge,
                upload_s=UP * float(moved.upload_s) * off[2],
                queue_s=FIXED_S + PER_BYTE_S * 2 * row.input_bytes,
                compute_s=EDGE * row.edge_s * off[1],
                download_s=DOWN * float(moved.download_s) * off[3],
            )
            pairs.append(dataclasses.replace(pair, local=local, edge=edge))
    return pairs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    pairs = made_pairs(rounds=8)
    return made_folder(tmp_path_factory.mktemp("made") / "run", pairs, links=[LINK] * len(pairs))


@pytest.fixture(scope="module")
def file(run, tmp_path_factory):
    return calibrate([run], tmp_path_factory.mktemp("out"), QUIET_CONSOLE)


def test_known_factors_are_found_again(file):
    found = load_calibration(file)
    for before, after in zip(TABLE.rows, found.table.rows, strict=True):
        name = f"{before.kind}/{before.size}"
        # Eight values off by 5 % each: their mean is within 5 % come what may.
        assert after.local_s / before.local_s == pytest.approx(LOCAL, rel=0.051), name
        assert after.edge_s / before.edge_s == pytest.approx(EDGE, rel=0.051), name
    # Drawn towards 1 by ten transfers' weight, and the median is one of the two values.
    n = 8 * len(TABLE.rows)
    fit = found.transfers["cubic"]
    for factor, made in ((fit.upload, UP), (fit.download, DOWN)):
        expected = math.log(made) * n / (n + 10)
        assert abs(math.log(factor) - expected) <= 0.1 * n / (n + 10) + 1e-4
    assert found.server.fixed_s == pytest.approx(FIXED_S, rel=1e-3)
    assert found.server.per_byte_s == pytest.approx(PER_BYTE_S, rel=1e-3)
    assert (found.pairs, found.runs) == (n, ("run",))


def test_a_spread_is_drawn_towards_the_tables_by_its_samples(file):
    """15 samples of the table's spread, and eight runs that are 5 % off."""
    before = next(row for row in TABLE.rows if (row.kind, row.size) == ("chess", "small"))
    after = next(
        row
        for row in load_calibration(file).table.rows
        if (row.kind, row.size) == ("chess", "small")
    )
    least = math.sqrt(before.samples * before.local_spread**2 / (before.samples + 8))
    assert least <= after.local_spread <= math.hypot(least, 0.11)
    assert after.samples == before.samples + 8


def test_what_was_not_measured_moves_with_the_machine(tmp_path):
    pairs = [pair for pair in made_pairs(8) if pair.task.kind != "lzma"]
    folder = made_folder(tmp_path / "run", pairs, links=[LINK] * len(pairs))
    rows = load_calibration(calibrate([folder], tmp_path, QUIET_CONSOLE)).table.rows
    for before, after in zip(TABLE.rows, rows, strict=True):
        if before.kind == "lzma":
            assert after.local_s / before.local_s == pytest.approx(LOCAL, rel=0.051)
            assert after.local_spread == before.local_spread


def test_one_odd_run_of_a_task_changes_little(tmp_path):
    """A single run twice as long as the others: its own share of the prior's weight."""
    pairs = made_pairs(8)
    steady = next(p for p in pairs if p.task.kind == "denoise" and p.task.size == "small")
    rest = [p for p in pairs if p.task.kind != "denoise"]
    odd = dataclasses.replace(
        steady, local=dataclasses.replace(steady.local, compute_s=2 * LOCAL * 0.3773)
    )
    folder = made_folder(tmp_path / "run", [*rest, odd], links=[LINK] * (len(rest) + 1))
    rows = load_calibration(calibrate([folder], tmp_path, QUIET_CONSOLE)).table.rows
    row = next(r for r in rows if (r.kind, r.size) == ("denoise", "small"))
    weight = OWN_SIGMA**2 / (OWN_SIGMA**2 + 0.05**2)
    assert row.local_s / 0.3773 == pytest.approx(LOCAL * 2**weight, rel=0.07)


def test_held_out_pairs_are_predicted_better(run):
    compared = cross_validate(told_by([load_run(run)]), TABLE)
    for component, (before, after) in compared.items():
        assert after.p90 < before.p90, component
        assert abs(after.bias) < 0.06, component
    assert compared["local"][0].bias == pytest.approx(-math.log(LOCAL), abs=0.06)
    assert compared["upload"][0].n == 8 * len(TABLE.rows)


def test_the_simulator_takes_what_is_in_the_file(file):
    plain, told = EnvConfig(), EnvConfig(calibration=str(file))
    table = WorkloadTable.of(TABLE, plain.workload)
    found = load_calibration(file)
    one, other = (
        draw_scenario(np.random.default_rng(5), config, table, 16) for config in (plain, told)
    )
    fit = found.transfers["cubic"]
    assert np.allclose(other.predicted_moved.upload_s, fit.upload * one.predicted_moved.upload_s)
    assert np.allclose(
        other.predicted_moved.download_s, fit.download * one.predicted_moved.download_s
    )
    n_bytes = one.work.true.input_bytes + one.work.true.output_bytes
    server_s = FIXED_S + PER_BYTE_S * n_bytes
    assert np.allclose(other.edge.queue_s - one.edge.queue_s, server_s, rtol=1e-2)
    assert np.allclose(other.edge.probed_queue_s - one.edge.probed_queue_s, server_s, rtol=1e-2)
    assert table_of(told) == found.table
    assert table_of(plain) == TABLE


def test_a_calibrated_run_is_compared_with_its_calibration(run, file, tmp_path):
    pairs = made_pairs(1)
    folder = made_folder(tmp_path / "run", pairs, links=[LINK] * len(pairs))
    raw = compare([load_run(folder)], TABLE)
    told = agree([folder], folder, QUIET_CONSOLE, file)
    fit = load_calibration(file).transfers["cubic"]

    def upload(agreement):
        return next(row.predicted_s for row in agreement.rows if row.component == "upload")

    assert upload(told) == pytest.approx(fit.upload * upload(raw))
    assert told.errors["set/own"]["queue"].median < 0.05
    assert (folder / "calibration.json").is_file()


def test_too_little_or_the_wrong_is_refused(tmp_path):
    few = made_folder(tmp_path / "few", [made_pair()] * 3)
    with pytest.raises(ConfigError, match="3 measured tasks are too few"):
        calibrate([few], tmp_path, QUIET_CONSOLE)
    other = made_folder(
        tmp_path / "other",
        [made_pair()] * 12,
        details={"congestion_control": "cubic", "device_cpu_limit": {"slowdown": 8.0}},
    )
    with pytest.raises(ConfigError, match="8 times slower"):
        calibrate([other], tmp_path, QUIET_CONSOLE)
    strange = made_folder(tmp_path / "strange", [made_pair("raytrace/small")] * 12)
    with pytest.raises(ConfigError, match="holds no raytrace/small"):
        calibrate([strange], tmp_path, QUIET_CONSOLE)
    with pytest.raises(ConfigError, match="leave out --calibration"):
        main(TrainOptions(calibrate=(few,), calibration=tmp_path / "c.json"))


def test_runs_whose_edge_never_came_back_leave_the_link_as_it_is(tmp_path):
    pairs = [dataclasses.replace(pair, edge=None) for pair in made_pairs(1)]
    folder = made_folder(tmp_path / "run", pairs, links=[QUIET] * len(pairs))
    found = load_calibration(calibrate([folder], tmp_path, QUIET_CONSOLE))
    assert found.transfers["cubic"] == TransferFit()
    assert found.server == ServerFit()
    assert len(found.notes) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.pop("table"), "is not a calibration"),
        (lambda data: data.update(schema=9), "has schema 9"),
        (lambda data: data["server"].update(fixed_s=-1.0), "server.fixed_s is -1.0"),
        (lambda data: data["transfers"]["cubic"].update(upload=0.0), "cubic.upload is 0.0"),
        (lambda data: data["transfers"].update(vegas={}), "unknown congestion control 'vegas'"),
        (lambda data: data["table"]["rows"][0].update(edge_s=-1), "edge_s is -1"),
        (lambda data: data["server"].update(fixed_s="soon"), "is not a calibration"),
    ],
)
def test_a_damaged_file_is_refused(file, tmp_path, change, said):
    data = json.loads(file.read_text())
    change(data)
    damaged = tmp_path / "calibration.json"
    damaged.write_text(json.dumps(data))
    with pytest.raises(ConfigError, match=said):
        load_calibration(damaged)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match=r"train\.py --calibrate RUN"):
        load_calibration(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="must be the name of a file"):
        EnvConfig(calibration=3)
