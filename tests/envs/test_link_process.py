"""Synthetic links against closed forms: spread, memory, tails, disturbances, and old estimates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.config import LinkProcessConfig
from envs.link_path import draw_path
from envs.link_process import (
    Calm,
    LinkSamples,
    draw_links,
    synthetic_transfer,
)
from envs.probe_times import ProbeTimes, draw_probe_times
from offload.energy_model import RADIO_NAMES
from offload.errors import ConfigError
from offload.link_model import transfer_s
from offload.types import LinkState, TaskProfile, Transfer

LANES = 200_000
NOISE = 5.0 / np.sqrt(LANES)
"""Five standard errors of a mean or a correlation of so many independent lanes."""

QUIET = LinkProcessConfig(
    rate_spread=0.3,
    rate_sigma=0.5,
    rate_memory_s=12.0,
    rtt_spread=0.1,
    rtt_sigma=0.2,
    rtt_memory_s=5.0,
    rtt_fast_share=0.5,
    rtt_fast_memory_s=0.4,
    volatility_sigma=0.3,
    disturbance_every_s=np.inf,
    loss_probe_packets=1000,
    rate_noise=0.15,
)


def _links(
    config: LinkProcessConfig, profile: str, seed: int, gap_s: np.ndarray
) -> tuple[LinkSamples, ProbeTimes]:
    rng = np.random.default_rng(seed)
    probes = draw_probe_times(rng, gap_s, config.estimate_age_s)
    links, _ = draw_links(rng, config, (profile,), probes)
    return links, probes


def test_a_path_is_stationary_and_forgets_as_told() -> None:
    gap_s = np.array([0.0, 0.1, 0.9, 5.0, 40.0])[:, None] * np.ones(LANES)
    path = draw_path(np.random.default_rng(0), QUIET, gap_s)
    clock_s = np.cumsum(gap_s[:, 0])
    # variances: between episodes; slow; fast. Memories: slow; fast.
    rate = (0.09, 0.25, 0.0, 12.0, 1.0)
    rtt = (0.01, 0.04 * 0.5, 0.04 * 0.5, 5.0, 0.4)
    for factor, law in ((path.uplink, rate), (path.downlink, rate), (path.rtt, rtt)):
        own, slow, fast, slow_s, fast_s = law
        log = np.log(factor)
        sd = np.sqrt(own + slow + fast)
        np.testing.assert_allclose(log.mean(axis=1), 0.0, atol=sd * NOISE)
        np.testing.assert_allclose(log.std(axis=1), sd, rtol=1.5 * NOISE)
        for now in range(5):
            for then in range(now + 1, 5):
                apart_s = clock_s[then] - clock_s[now]
                expected = own + slow * np.exp(-apart_s / slow_s) + fast * np.exp(-apart_s / fast_s)
                found = float(np.mean(log[now] * log[then]))
                assert found == pytest.approx(expected, abs=1.5 * NOISE * sd**2)
    for one, other in (
        (path.uplink, path.downlink),
        (path.uplink, path.rtt),
        (path.downlink, path.rtt),
    ):
        correlation = np.corrcoef(np.log(one[2]), np.log(other[2]))[0, 1]
        assert correlation == pytest.approx(0.0, abs=NOISE)


def test_episodes_differ_in_how_much_their_link_moves() -> None:
    config = replace(QUIET, rate_spread=0.0, rate_memory_s=1.0)
    path = draw_path(np.random.default_rng(1), config, np.full((400, 4000), 20.0))
    sd = np.log(path.uplink).std(axis=0)
    # 400 independent values tell a standard deviation to within 3.5 %.
    assert np.log(sd).std() == pytest.approx(np.hypot(0.3, 1 / np.sqrt(800)), rel=0.06)
    assert np.sqrt(np.mean(sd**2)) == pytest.approx(0.5, rel=0.06)


def test_links_vary_around_their_profile() -> None:
    # congested: 1.3 up, 3.5 down Mbit/s, 55 ms and 20 ms of jitter one way.
    links, _ = _links(QUIET, "congested", 2, np.zeros((1, LANES)))
    up, down = np.log(links.true.uplink_bps[0]), np.log(links.true.downlink_bps[0])
    rtt = np.log(links.true.rtt_s[0])
    rate_sd = np.hypot(0.3, 0.5)
    assert up.mean() == pytest.approx(np.log(1.3e6), abs=rate_sd * NOISE)
    assert down.mean() == pytest.approx(np.log(3.5e6), abs=rate_sd * NOISE)
    assert rtt.mean() == pytest.approx(np.log(0.110), abs=0.25 * NOISE)
    np.testing.assert_allclose(links.true.jitter_s, 0.020 * np.sqrt(2))
    np.testing.assert_allclose(links.true.loss, 0.5 / 25.5)


def test_an_estimate_is_the_link_of_the_last_probe_with_noise() -> None:
    links, probes = _links(QUIET, "congested", 3, np.full((2, LANES), 1.5))
    np.testing.assert_array_equal(links.measured.age_s, probes.age_s)
    for step in range(2):
        age_s = probes.age_s[step]
        error = np.log(links.measured.uplink_bps[step] / links.true.uplink_bps[step])
        # Two values of one path so far apart, and noise of 0.15; the episode's own part cancels.
        for low, high in ((0.0, 0.3), (2.0, 3.0), (8.0, 20.0)):
            these = (age_s >= low) & (age_s < high)
            expected = 2 * 0.25 * (1 - np.exp(-age_s[these] / 12.0)).mean() + 0.15**2
            assert error[these].var() == pytest.approx(expected, rel=10.0 / np.sqrt(these.sum()))
    # 1000 probes at a loss of 1.96 %.
    assert links.measured.loss.mean() == pytest.approx(0.5 / 25.5, rel=0.01)
    assert links.measured.loss.std() == pytest.approx(np.sqrt(0.0196 * 0.9804 / 1000), rel=0.02)


def test_decisions_between_two_probes_know_the_same() -> None:
    links, probes = _links(LinkProcessConfig(), "lte", 4, np.full((12, 2000), 0.7))
    shared = probes.newest[1:] == probes.newest[:-1]
    assert 0.6 < shared.mean() < 0.8  # e^(-0.7/2) is 0.705
    for name in ("rtt_s", "jitter_s", "uplink_bps", "downlink_bps"):
        value = getattr(links.measured, name)
        np.testing.assert_array_equal(value[1:] == value[:-1], shared)
    assert np.all(links.true.uplink_bps[1:] != links.true.uplink_bps[:-1])


STILL = replace(
    QUIET,
    rate_spread=0.0,
    rate_sigma=0.0,
    rtt_spread=0.0,
    rtt_sigma=0.0,
    rtt_noise=0.0,
    rate_noise=0.0,
    disturbance_every_s=30.0,
    disturbance_lasts_s=3.0,
    disturbance_rate_floor=0.01,
    disturbance_rtt_peak=5.0,
    disturbance_loss=0.2,
)


def test_a_disturbance_hurts_rates_rtt_and_loss_by_one_severity() -> None:
    links, _ = _links(STILL, "lte", 5, np.zeros((1, LANES)))
    true = links.true
    severity = np.log(true.uplink_bps[0] / 14e6) / np.log(0.01)
    disturbed = severity > 0.0
    assert disturbed.mean() == pytest.approx(3.0 / 33.0, abs=NOISE)
    few = 5.0 / np.sqrt(disturbed.sum())
    assert severity[disturbed].mean() == pytest.approx(0.5, abs=few)
    assert severity.max() == pytest.approx(1.0, abs=0.001)
    np.testing.assert_allclose(true.downlink_bps[0], 39e6 * 0.01**severity)
    np.testing.assert_allclose(true.rtt_s[0], 0.040 * 5.0**severity)
    np.testing.assert_allclose(true.jitter_s[0], 0.004 * np.sqrt(2) * 5.0**severity)
    np.testing.assert_allclose(true.loss[0], 0.15 / 50.15 + 0.2 * severity)


def test_truth_and_estimate_share_the_severity_of_one_disturbance() -> None:
    links, _ = _links(STILL, "lte", 6, np.zeros((1, LANES)))
    now = np.log(links.true.uplink_bps[0] / 14e6) / np.log(0.01)
    before = np.log(links.measured.uplink_bps[0] / 14e6) / np.log(0.01)
    same = (now > 0.0) & (np.abs(now - before) < 1e-9)
    # The chance that a disturbance of mean 3 s began before a probe of mean age 2 s.
    assert same.mean() == pytest.approx(3.0 / 33.0 / (1.0 + 2.0 / 3.0), abs=NOISE)
    # One that began since is not known; one that ended is still believed in.
    unknown = (now > 0.0) & (before == 0.0)
    share, memory_s = 3.0 / 33.0, 1.0 / (1.0 / 3.0 + 1.0 / 30.0)
    expected = share * (1.0 - share) * (1.0 - 1.0 / (1.0 + 2.0 / memory_s))
    assert unknown.mean() == pytest.approx(expected, abs=NOISE)
    believed = (now == 0.0) & (before > 0.0)
    assert believed.mean() == pytest.approx(expected, abs=NOISE)


def test_a_disturbance_ends_after_its_mean_length_whenever_it_is_looked_at() -> None:
    rng = np.random.default_rng(9)
    probes = draw_probe_times(rng, np.zeros((1, LANES)), every_s=2.0)
    links, calm = draw_links(rng, STILL, ("lte",), probes)
    disturbed = links.true.uplink_bps[0] < 14e6
    np.testing.assert_array_equal(calm.after_s[0] > 0.0, disturbed)
    few = 5.0 / np.sqrt(disturbed.sum())
    assert calm.after_s[0][disturbed].mean() == pytest.approx(3.0, rel=few)
    np.testing.assert_allclose(calm.uplink_bps, 14e6)
    np.testing.assert_allclose(calm.downlink_bps, 39e6)


def test_a_transfer_gets_the_mean_rate_of_the_time_it_takes() -> None:
    # 1 Mbit/s up for 2 s, then 10; 4 Mbit/s down until then, 8 afterwards.
    link = LinkState(0.05, 0.0, 0.0, uplink_bps=1e6, downlink_bps=4e6)
    calm = Calm(uplink_bps=np.array(10e6), downlink_bps=np.array(8e6), after_s=np.array(2.0))

    def moved(up_bytes: float, down_bytes: float, edge_s: float, queue_s: float) -> Transfer:
        task = TaskProfile(1.0, edge_s, up_bytes, down_bytes, 9.0)
        return synthetic_transfer(calm, link, task, np.array(queue_s), "cubic")

    def told(n_bytes: float, rate_bps: float) -> float:
        return float(transfer_s(n_bytes, rate_bps, 0.05, 0.0, "cubic", 0.0))

    # Up within the disturbance (1 s), and down within it: 0.5 s of the 0.6 s left.
    within = moved(125_000.0, 250_000.0, edge_s=0.3, queue_s=0.1)
    assert float(within.upload_s) == pytest.approx(told(125_000.0, 1e6))
    assert float(within.download_s) == pytest.approx(told(250_000.0, 4e6))
    # Up: 2 Mbit in 2 s, 20 more in 2 s, so 5.5 Mbit/s; down in the calm.
    across = moved(2_750_000.0, 250_000.0, edge_s=0.3, queue_s=0.1)
    assert float(across.upload_s) == pytest.approx(told(2_750_000.0, 5.5e6))
    assert float(across.download_s) == pytest.approx(told(250_000.0, 8e6))
    # Down: of 2 Mbit 1 in the 0.25 s left, 1 in 0.125 s.
    late = moved(125_000.0, 250_000.0, edge_s=0.7, queue_s=0.05)
    assert float(late.download_s) == pytest.approx(told(250_000.0, 2e6 / 0.375))


def test_loss_never_passes_its_bound() -> None:
    config = replace(STILL, disturbance_loss=0.9)
    links, _ = _links(config, "edge_of_coverage", 7, np.zeros((1, LANES)))
    assert links.true.loss.max() == 0.9  # 9.1 % of the profile and up to 90 % on top
    assert links.measured.loss.max() <= 1.0


def test_every_lane_draws_one_profile_and_its_radio() -> None:
    rng = np.random.default_rng(8)
    probes = draw_probe_times(rng, np.ones((4, 3000)), every_s=2.0)
    links, _ = draw_links(rng, QUIET, ("lan", "5g_mmwave", "3g"), probes)
    assert np.bincount(links.profile).min() > 900
    radios = [RADIO_NAMES[index] for index in links.radio[np.argsort(links.profile)]]
    assert list(dict.fromkeys(radios)) == ["wifi", "5g_mmwave", "3g"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate_spread", -0.1),
        ("rate_sigma", float("nan")),
        ("rtt_fast_share", 1.01),
        ("rtt_fast_share", -0.01),
        ("rtt_fast_memory_s", 0.0),
        ("volatility_sigma", -1.0),
        ("disturbance_lasts_s", 0.0),
        ("disturbance_rate_floor", 0.0),
        ("disturbance_rate_floor", 1.5),
        ("disturbance_rtt_peak", 0.9),
        ("disturbance_loss", 0.95),
    ],
)
def test_settings_out_of_bounds_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"link.{name}"):
        replace(LinkProcessConfig(), **{name: value})  # type: ignore[arg-type]
