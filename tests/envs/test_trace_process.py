"""Simulated lanes over measured links: what a link carries over time, worked out by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from envs.config import EnvConfig, LinkProcessConfig, config_from_dict
from envs.links import link_names
from envs.probe_times import draw_probe_times
from envs.scenario import draw_scenario
from envs.task_offloading import TaskOffloadingEnv
from envs.trace_process import TraceBank, draw_replay, replayed_transfer
from envs.workload import WorkloadTable
from offload.cost_model import transfer
from offload.errors import TraceError, UnknownNameError
from offload.link_profiles import get_profile
from offload.link_trace import LinkTrace
from offload.types import LinkState, TaskProfile

STILL = LinkProcessConfig(
    rate_spread=0.0,
    rate_sigma=0.0,
    rtt_spread=0.0,
    rtt_sigma=0.0,
    disturbance_every_s=1e15,
    transfer_spread=0.0,
    rtt_noise=0.0,
    rate_noise=0.0,
    jitter_noise=0.0,
)


def made(t_s: list[float], end_s: float, up_mbps: list[float], **columns: list[float]) -> LinkTrace:
    rows = len(t_s)
    rtt_s = np.array(columns.get("rtt_ms", [40.0] * rows)) / 1e3
    loss = np.array(columns.get("loss", [0.0] * rows))
    return LinkTrace(
        name=f"made-{rows}-{end_s:g}",
        t_s=np.array(t_s),
        end_s=end_s,
        uplink_bps=np.array(up_mbps) * 1e6,
        downlink_bps=np.array(columns.get("down_mbps", up_mbps)) * 1e6,
        uplink_delay_s=rtt_s / 2,
        downlink_delay_s=rtt_s / 2,
        uplink_loss=loss,
        downlink_loss=loss,
        radio="5g_low",
        base=get_profile("lte"),
        assumed=(),
        source="by hand",
    )


TWO_RATES = made([0, 1], 2.0, [1, 3], down_mbps=[10, 20])
THREE_ROWS = made([0, 0.5, 4], 5.0, [8, 0, 2], rtt_ms=[30, 90, 60], loss=[0, 0.1, 0.3])
BANK = TraceBank([THREE_ROWS, TWO_RATES])


def carry(trace: int, t_s: float, n_bytes: float, bank: TraceBank = BANK) -> float:
    lanes = np.array([trace])
    return float(bank.carry_uplink_s(lanes, np.array([[t_s]]), np.array([[n_bytes]]))[0, 0])


@pytest.mark.parametrize(
    ("t_s", "megabits", "expected_s"),
    [
        (0.0, 0.4, 0.4),  # within a row
        (0.5, 1.0, 0.5 + 0.5 / 3),  # half of it in the first row
        (1.5, 4.0, 2.0),  # 1.5 until the end, 1 in a second of the next pass, 1.5 in half of one
        (0.0, 10.0, 5.0 + 1 / 3),  # two passes of 4, a second, a third
        (14.5, 1.0, 0.5 + 0.5 / 3),  # seven passes on
        (0.0, 4.0, 2.0),  # exactly one pass
        (1.999999, 0.5, 0.5 - 2e-6),  # hardly anything left of the second row
    ],
)
def test_what_a_link_carries_by_hand(t_s: float, megabits: float, expected_s: float) -> None:
    assert carry(1, t_s, megabits * 1e6 / 8) == pytest.approx(expected_s, abs=1e-6)


def test_an_outage_is_waited_for() -> None:
    # From 1 s the link is out until 4 s (but for the floor of 1 kbit/s), then has 2 Mbit/s.
    assert carry(0, 1.0, 125_000) == pytest.approx(3.0 + 0.5, abs=0.002)


def test_against_small_steps() -> None:
    rng = np.random.default_rng(0)
    step_s = 1e-4
    for _ in range(20):
        t_s = np.concatenate([[0.0], np.cumsum(rng.exponential(0.3, 6))])
        end_s = float(t_s[-1] + 0.2)
        rates = rng.choice([0.5, 2.0, 8.0], 7)
        bank = TraceBank([TWO_RATES, made(list(t_s), end_s, list(rates)), THREE_ROWS])
        start_s, n_bytes = rng.uniform(0, end_s), rng.exponential(300_000)
        left, now_s = 8 * n_bytes, start_s
        while left > 0:
            row = int(np.searchsorted(t_s, now_s % end_s, side="right")) - 1
            left -= rates[row] * 1e6 * step_s
            now_s += step_s
        got_s = carry(1, start_s, n_bytes, bank)
        assert got_s == pytest.approx(now_s - start_s, abs=0.003 + 0.002 * got_s)


def test_the_states_are_the_rows() -> None:
    lanes = np.array([0, 1, 0])
    t_s = np.array([[0.0, 0.0, 4.999999999999999], [0.5, 1.5, 5.0], [3.99, 2.0, 9.5]])
    state = BANK.states(lanes, t_s)
    np.testing.assert_allclose(state.uplink_bps / 1e6, [[8, 1, 2], [1e-3, 3, 8], [1e-3, 1, 2]])
    np.testing.assert_allclose(state.downlink_bps[:, 1] / 1e6, [10, 20, 10])
    np.testing.assert_allclose(state.rtt_s[:, 0], [0.03, 0.09, 0.09])
    np.testing.assert_allclose(state.loss[:, 2], [0.3, 0.0, 0.3])
    np.testing.assert_array_equal(state.age_s, 0.0)


def test_the_jitter_is_the_spread_of_the_rows_around() -> None:
    # Rows at 0, 2 and 4 s: within 2.5 s of the middle one lie all three.
    trace = made([0, 2, 4], 6.0, [1, 1, 1], rtt_ms=[30, 60, 120])
    found = TraceBank([trace]).states(np.array([0]), np.array([[0.0], [2.0], [4.0]])).jitter_s
    expected = [np.std([30, 60]), np.std([30, 60, 120]), np.std([60, 120])]
    np.testing.assert_allclose(found[:, 0], np.array(expected) / 1e3)


def test_a_constant_trace_is_a_profile_without_variance(
    tmp_path: Path, workload_table: WorkloadTable
) -> None:
    profile = get_profile("lte")
    pings_lost = 1 - (1 - profile.uplink.loss) ** 2
    path = tmp_path / "constant.csv"
    path.write_text(
        "t_s,down_mbps,up_mbps,rtt_ms,loss\n"
        + "".join(f"{row / 2},39,14,40,{pings_lost}\n" for row in range(7))
    )
    by_profile = EnvConfig(profiles=("lte",), link=STILL)
    by_trace = dataclasses.replace(by_profile, traces=(str(path),))
    want = draw_scenario(np.random.default_rng(3), by_profile, workload_table, 40)
    got = draw_scenario(np.random.default_rng(3), by_trace, workload_table, 40)
    np.testing.assert_array_equal(got.work.true.input_bytes, want.work.true.input_bytes)
    for name in ("rtt_s", "loss", "uplink_bps", "downlink_bps"):
        np.testing.assert_allclose(
            getattr(got.links.true, name), getattr(want.links.true, name), rtol=1e-9
        )
    for name in ("rtt_s", "uplink_bps", "downlink_bps"):
        np.testing.assert_allclose(
            getattr(got.links.measured, name), getattr(want.links.measured, name), rtol=1e-9
        )
    np.testing.assert_array_equal(got.links.radio, want.links.radio)
    # A trace has no jitter within a row; but for that the transfers take the same.
    unjittered = dataclasses.replace(want.links.true, jitter_s=np.zeros_like(want.battery))
    moved = transfer(unjittered, want.work.true, "cubic")
    np.testing.assert_allclose(got.true_moved.upload_s, moved.upload_s, rtol=1e-6)
    np.testing.assert_allclose(got.true_moved.download_s, moved.download_s, rtol=1e-6)


def test_a_transfer_gets_the_mean_of_the_rows_it_meets() -> None:
    lanes, none = np.array([1]), np.zeros((1, 1))
    link = LinkState(none + 0.04, none, none, none + 1e6, none + 10e6, none)
    # Up: 1 Mbit from 0.5 s takes 2/3 s, so 1.5 Mbit/s on average. Then 0.1 s in the edge's queue
    # and 0.2 s of work; down from 1.4667 s: 16 Mbit, of which 10.667 in the rest of the row and
    # 5.333 of the next pass's at 10 Mbit/s: 1.0667 s in all, so 15 Mbit/s.
    task = TaskProfile(none + 1.0, none + 0.2, none + 125_000.0, none + 2_000_000.0, none + 9.0)
    _, replay = _replay(lanes, np.array([[0.5]]))
    moved = replayed_transfer(replay, link, task, none + 0.1, "bbr")
    means = dataclasses.replace(link, uplink_bps=none + 1.5e6, downlink_bps=none + 15e6)
    expected = transfer(means, task, "bbr")
    np.testing.assert_allclose(moved.upload_s, expected.upload_s, rtol=1e-9)
    np.testing.assert_allclose(moved.download_s, expected.download_s, rtol=1e-9)


def _replay(lanes: np.ndarray, t_s: np.ndarray):
    probes = draw_probe_times(np.random.default_rng(0), np.zeros_like(t_s), 1.0)
    links, replay = draw_replay(np.random.default_rng(0), STILL, BANK, probes)
    return links, dataclasses.replace(replay, trace=lanes, t_s=t_s)


def test_lanes_are_spread_evenly_and_start_anywhere() -> None:
    lanes, steps = 3_001, 5
    rng = np.random.default_rng(1)
    gap_s = rng.exponential(3.0, (steps, lanes))
    gap_s[0] = 0.0
    probes = draw_probe_times(rng, gap_s, 2.0)
    links, replay = draw_replay(rng, STILL, BANK, probes)
    counts = np.bincount(links.profile)
    assert sorted(counts) == [1500, 1501]
    np.testing.assert_allclose(np.diff(replay.t_s, axis=0), gap_s[1:], atol=1e-9)
    # Where the decisions lie in their trace is uniform: five standard errors of a mean.
    inside = replay.t_s % BANK.end_s[replay.trace] / BANK.end_s[replay.trace]
    assert inside.mean(axis=1) == pytest.approx(0.5, abs=5 * np.sqrt(1 / 12 / lanes))
    assert list(np.unique(links.radio)) == [3]  # 5g_low


def test_the_estimate_is_the_row_at_the_last_probe() -> None:
    rng = np.random.default_rng(2)
    gap_s = rng.exponential(3.0, (20, 500))
    gap_s[0] = 0.0
    probes = draw_probe_times(rng, gap_s, 2.0)
    links, replay = draw_replay(rng, STILL, BANK, probes)
    np.testing.assert_array_equal(links.measured.age_s, probes.age_s)
    then = BANK.states(replay.trace, replay.t_s - links.measured.age_s)
    now = BANK.states(replay.trace, replay.t_s)
    np.testing.assert_allclose(links.true.uplink_bps, now.uplink_bps)
    agree = np.isclose(links.measured.uplink_bps, then.uplink_bps)
    assert agree.mean() > 0.999  # but for rounding at a row's edge
    assert np.isclose(links.measured.uplink_bps, now.uplink_bps).mean() < 0.9
    # Loss is what 100 packets show, for each row's share.
    at_tenth = then.loss == 0.1
    shown = links.measured.loss[at_tenth]
    assert shown.mean() == pytest.approx(0.1, abs=0.02)
    np.testing.assert_allclose(shown * STILL.loss_probe_packets % 1, 0.0, atol=1e-6)


def test_scenarios_over_traces_repeat_by_seed(
    tmp_path: Path, workload_table: WorkloadTable
) -> None:
    config = EnvConfig(traces=_files(tmp_path))
    first, again, other = (
        draw_scenario(np.random.default_rng(seed), config, workload_table, 30) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.true_moved.upload_s, again.true_moved.upload_s)
    assert not np.array_equal(first.true_moved.upload_s, other.true_moved.upload_s)
    assert np.all(np.isfinite(first.true_moved.upload_s))
    assert np.all(first.true_moved.upload_s > 0)
    assert np.all(np.isfinite(first.true_moved.download_s))


def _files(folder: Path) -> tuple[str, ...]:
    names = []
    for name, rate in (("slow", 1), ("fast", 30)):
        path = folder / f"{name}.csv"
        rows = "".join(f"{t},{rate},{rate / 2},50,0.01,x\n" for t in range(5))
        path.write_text("t_s,down_mbps,up_mbps,rtt_ms,loss,tech\n" + rows)
        names.append(str(path))
    return tuple(names)


def test_the_environment_names_the_trace(tmp_path: Path, profile_table: Path) -> None:
    env = TaskOffloadingEnv(EnvConfig(traces=_files(tmp_path)), profile_table)
    seen = {env.reset(seed=seed)[1]["profile"] for seed in range(12)}
    assert seen == {"slow", "fast"}


def test_the_configuration_holds_the_files(tmp_path: Path) -> None:
    config = EnvConfig(traces=_files(tmp_path), trace_base="3g")
    assert config_from_dict(json.loads(json.dumps(dataclasses.asdict(config)))) == config
    assert link_names(config) == ("slow", "fast")
    assert link_names(EnvConfig(profiles=("lte",))) == ("lte",)
    with pytest.raises(UnknownNameError, match="Did you mean '3g'"):
        EnvConfig(trace_base="3gg")
    with pytest.raises(TraceError, match="no such file"):
        link_names(EnvConfig(traces=(str(tmp_path / "gone.csv"),)))
