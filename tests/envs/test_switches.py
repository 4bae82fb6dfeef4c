"""Each switch takes out what it names, and nothing of it is left."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.maui_policy import MauiPolicy
from agents.rollout import Rollout, roll_out
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import Scenario, draw_scenario
from envs.switches import SWITCHES, parse_switches
from envs.workload import WorkloadTable
from offload.cost_model import transfer
from offload.errors import ConfigError, UnknownNameError
from offload.types import Objective

LANES = 200
KNOWS_ALL = ("stale_estimates", "estimate_noise", "transfer_surprise", "task_spread")


def _drawn(config: EnvConfig, table: WorkloadTable, *without: str) -> Scenario:
    world = replace(config, without=without)
    return draw_scenario(np.random.default_rng(5), world, table, LANES)


def _measured_against_true(
    config: EnvConfig, table: WorkloadTable, *without: str
) -> tuple[Rollout, Rollout]:
    scenario = _drawn(config, table, *without)
    world = replace(config, without=without)
    measured = MauiPolicy(config.objective, sees_truth=False)
    true = MauiPolicy(config.objective, sees_truth=True)
    return roll_out(measured, scenario, world), roll_out(true, scenario, world)


@pytest.mark.parametrize("objective", list(Objective))
def test_with_nothing_hidden_maui_measured_is_maui_true(
    busy_config: EnvConfig, workload_table: WorkloadTable, objective: Objective
) -> None:
    config = replace(busy_config, objective=objective)
    measured, true = _measured_against_true(config, workload_table, *KNOWS_ALL)
    np.testing.assert_array_equal(measured.placement, true.placement)
    np.testing.assert_array_equal(measured.placement, measured.optimum)
    np.testing.assert_allclose(measured.cost, true.cost, rtol=1e-12)
    assert 0.05 < measured.placement.mean() < 0.95


@pytest.mark.parametrize("hidden", KNOWS_ALL)
def test_any_one_thing_hidden_parts_them(
    busy_config: EnvConfig, workload_table: WorkloadTable, hidden: str
) -> None:
    rest = [name for name in KNOWS_ALL if name != hidden]
    # Noise strong enough to matter by itself; probes as exact as ours part them in 1 of 2,000.
    noisy = replace(busy_config.link, rate_noise=0.15, jitter_noise=0.2, loss_probe_packets=100)
    config = replace(busy_config, link=noisy)
    measured, _ = _measured_against_true(config, workload_table, *rest)
    assert (measured.placement != measured.optimum).mean() > 0.001


def test_fresh_and_exact_estimates_are_the_truth(
    busy_config: EnvConfig, workload_table: WorkloadTable
) -> None:
    scenario = _drawn(busy_config, workload_table, "stale_estimates", "estimate_noise")
    for name in ("rtt_s", "jitter_s", "loss", "uplink_bps", "downlink_bps", "age_s"):
        true, measured = (getattr(x, name) for x in (scenario.links.true, scenario.links.measured))
        np.testing.assert_allclose(measured, true, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(scenario.edge.probed_queue_s, scenario.edge.queue_s)


def test_noise_alone_leaves_the_age(busy_config: EnvConfig, workload_table: WorkloadTable) -> None:
    links = _drawn(busy_config, workload_table, "estimate_noise").links
    assert links.measured.age_s.mean() > 0.5
    assert (links.measured.uplink_bps != links.true.uplink_bps).mean() > 0.5
    links = _drawn(busy_config, workload_table, "stale_estimates").links
    assert links.measured.age_s.max() < 1e-9
    assert (links.measured.uplink_bps != links.true.uplink_bps).mean() > 0.99


def test_without_movement_a_link_stands_still(
    busy_config: EnvConfig, workload_table: WorkloadTable
) -> None:
    def movement(*without: str) -> float:
        rates = np.log(_drawn(busy_config, workload_table, *without).links.true.uplink_bps)
        return float(rates.std(axis=0).max())

    assert movement("link_drift", "disturbances") == pytest.approx(0.0, abs=1e-9)
    assert movement("disturbances") > 0.3
    assert movement("link_drift") > 0.3


def test_without_disturbances_no_packet_is_lost_to_one(
    busy_config: EnvConfig, workload_table: WorkloadTable
) -> None:
    losses = _drawn(busy_config, workload_table, "disturbances").links.true.loss
    np.testing.assert_allclose(losses.std(axis=0), 0.0, atol=1e-12)
    assert (_drawn(busy_config, workload_table).links.true.loss.std(axis=0) > 0).mean() > 0.5


def test_without_surprise_a_transfer_takes_what_the_model_says(
    busy_config: EnvConfig, workload_table: WorkloadTable
) -> None:
    scenario = _drawn(busy_config, workload_table, "transfer_surprise")
    exact = transfer(scenario.links.true, scenario.work.true, busy_config.congestion_control)
    np.testing.assert_allclose(scenario.true_moved.upload_s, exact.upload_s)
    np.testing.assert_allclose(scenario.true_moved.download_s, exact.download_s)


def test_without_spread_tasks_take_the_medians(
    busy_config: EnvConfig, workload_table: WorkloadTable
) -> None:
    work = _drawn(busy_config, workload_table, "task_spread").work
    np.testing.assert_array_equal(work.true.local_s, workload_table.local_s[work.row])
    np.testing.assert_array_equal(work.true.output_bytes, workload_table.output_bytes[work.row])


def test_without_contention_nobody_queues(
    busy_config: EnvConfig, workload_table: WorkloadTable
) -> None:
    edge = _drawn(busy_config, workload_table, "edge_contention").edge
    assert edge.queue_s.max() == edge.probed_queue_s.max() == 0.0


def test_without_deadlines_none_is_missed_and_no_run_given_up(
    busy_config: EnvConfig, workload_table: WorkloadTable
) -> None:
    played, _ = _measured_against_true(busy_config, workload_table, "deadlines")
    assert played.missed.max() == played.fell_back.max() == 0.0
    assert np.isfinite(played.cost).all()
    observation = OffloadDynamics(
        _drawn(busy_config, workload_table, "deadlines"), busy_config
    ).observation()
    assert np.isfinite(observation).all()


@pytest.mark.parametrize(
    ("switch", "held"), [("local_queue", 0.0), ("radio_tail", 0.0), ("battery", 1.0)]
)
def test_without_a_coupling_its_state_stays_as_it_began(
    busy_config: EnvConfig, workload_table: WorkloadTable, switch: str, held: float
) -> None:
    rng = np.random.default_rng(2)
    attribute = {"local_queue": "queue_s", "radio_tail": "tail_left_s", "battery": "battery"}[
        switch
    ]
    seen = {}
    for without in ((), (switch,)):
        scenario = _drawn(busy_config, workload_table, *without)
        dynamics = OffloadDynamics(scenario, replace(busy_config, without=without))
        states = [getattr(dynamics, attribute)]
        while not dynamics.done:
            dynamics.step(rng.integers(2, size=LANES))
            states.append(getattr(dynamics, attribute))
        seen[without] = np.array(states)
    assert (seen[()] != held).mean() > 0.1
    np.testing.assert_array_equal(seen[(switch,)], held)
    if switch == "local_queue":
        assert scenario.reference_queue_s.max() == 0.0


def test_names_are_checked() -> None:
    assert parse_switches("battery, deadlines") == ("battery", "deadlines")
    assert parse_switches(None) == ()
    with pytest.raises(UnknownNameError, match="Did you mean 'disturbances'"):
        EnvConfig(without=("disturbance",))
    with pytest.raises(ConfigError, match="as they were measured"):
        EnvConfig(traces=("a.csv",), without=("link_drift",))


def test_the_document_names_every_switch() -> None:
    page = (Path(__file__).parents[2] / "docs" / "environment.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", page.partition("## Switches")[2], re.MULTILINE)
    assert dict(rows[: len(SWITCHES)]) == SWITCHES
