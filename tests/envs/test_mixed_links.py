"""Blocks of lanes of which some replay traces and others drift around profiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from envs.config import EnvConfig
from envs.links import draw_all_links, link_names
from envs.probe_times import draw_probe_times
from envs.scenario import draw_scenario
from envs.task_offloading import TaskOffloadingEnv
from envs.workload import WorkloadTable
from offload.cost_model import transfer
from offload.errors import ConfigError

LANES = 41


@pytest.fixture
def mixed(tmp_path: Path) -> EnvConfig:
    """Traces of a rate and an RTT that no lane of the profiles has."""
    for name, rate in (("one", 777.0), ("two", 888.0)):
        rows = "".join(f"{t},{rate},{rate},1234,0.0,x\n" for t in range(5))
        (tmp_path / f"{name}.csv").write_text("t_s,down_mbps,up_mbps,rtt_ms,loss,tech\n" + rows)
    files = tuple(str(tmp_path / f"{name}.csv") for name in ("one", "two"))
    return EnvConfig(profiles=("lte", "congested"), traces=files, trace_share=0.25)


def test_each_lane_is_named_for_the_link_it_has(
    mixed: EnvConfig, workload_table: WorkloadTable
) -> None:
    assert link_names(mixed) == ("lte", "congested", "one", "two")
    links = draw_scenario(np.random.default_rng(0), mixed, workload_table, LANES).links
    replays = np.isclose(links.true.rtt_s, 1.234).all(axis=0)
    assert replays.sum() in (10, 11)  # a quarter of 41
    assert set(links.profile[replays]) == {2, 3}
    assert set(links.profile[~replays]) == {0, 1}
    for index, rate_bps in ((2, 777e6), (3, 888e6)):
        np.testing.assert_allclose(links.true.uplink_bps[:, links.profile == index], rate_bps)


def test_each_lane_transfers_over_its_own_link(
    mixed: EnvConfig, workload_table: WorkloadTable
) -> None:
    rng = np.random.default_rng(1)
    work = draw_scenario(rng, mixed, workload_table, LANES).work
    links, exact = draw_all_links(rng, mixed, draw_probe_times(rng, work.gap_s, 2.0))
    moved = exact(work.true, np.zeros_like(work.gap_s))
    at_once = transfer(links.true, work.true, mixed.congestion_control)
    # Links that never change take what the model says; of the others a disturbance may end.
    still = links.profile >= 2
    np.testing.assert_allclose(
        moved.upload_s[:, still], at_once.upload_s[:, still], rtol=1e-9, atol=1e-12
    )
    assert np.all(moved.upload_s <= at_once.upload_s * (1.0 + 1e-9))
    assert (moved.upload_s < 0.9 * at_once.upload_s)[:, ~still].any()


def test_one_lane_at_a_time_keeps_the_share(mixed: EnvConfig, profile_table: Path) -> None:
    env = TaskOffloadingEnv(mixed, profile_table)
    names = [env.reset(seed=seed)[1]["profile"] for seed in range(400)]
    replays = sum(name in ("one", "two") for name in names)
    assert 60 < replays < 140  # 100 expected, standard deviation 8.7
    assert set(names) == set(link_names(mixed))


def test_the_share_is_checked() -> None:
    for share in (0.0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="trace_share"):
            EnvConfig(trace_share=share)
