"""Processes drawn on from a state that is known: their conditional laws, in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.config import EdgeProcessConfig, LinkProcessConfig
from envs.edge_process import EdgeMotion, draw_edge_motion, edge_queue_later
from envs.link_path import Deviation, LinkPath, Wander, draw_path, path_later
from envs.link_process import draw_motion, links_later
from envs.stochastic import episodes_later, two_state_chain_later

LANES = 200_000
NOISE = 5.0 / np.sqrt(LANES)
"""Five standard errors of a mean of so many independent lanes, in standard deviations."""


def _all(value: float) -> np.ndarray:
    return np.full(LANES, value)


def _deviation(own: float, *wanders: tuple[float, float, float]) -> Deviation:
    return Deviation(_all(own), tuple(Wander(_all(v), _all(s), memory) for v, s, memory in wanders))


def test_a_link_forgets_where_it_was_but_not_whose_it_is() -> None:
    # ln(uplink): 0.3 of its own and 0.8 now, size 0.5, memory 10 s; after 4 s.
    config = LinkProcessConfig(disturbance_every_s=np.inf)
    now = LinkPath(
        _deviation(0.3, (0.8, 0.5, 10.0)),
        _deviation(-0.2, (-1.0, 0.4, 10.0)),
        _deviation(0.1, (0.2, 0.15, 20.0), (-0.3, 0.1, 0.5)),
        severity=_all(0.0),
    )
    later = path_later(np.random.default_rng(0), config, now, _all(4.0))
    for found, mean, variance in (
        (later.uplink, 0.3 + 0.8 * np.exp(-0.4), 0.25 * (1 - np.exp(-0.8))),
        (later.downlink, -0.2 - np.exp(-0.4), 0.16 * (1 - np.exp(-0.8))),
        (
            later.rtt,
            0.1 + 0.2 * np.exp(-0.2) - 0.3 * np.exp(-8.0),
            0.0225 * (1 - np.exp(-0.4)) + 0.01 * (1 - np.exp(-16.0)),
        ),
    ):
        assert np.log(found).mean() == pytest.approx(mean, abs=NOISE * np.sqrt(variance))
        assert np.log(found).var() == pytest.approx(variance, rel=1.5 * NOISE)
    assert not np.any(later.severity)


def test_a_disturbance_lasts_or_ends_or_another_has_begun() -> None:
    # Stays of 2 s, each 6 s apart, looked at 1.5 s later: on for a quarter of the time.
    rng = np.random.default_rng(1)
    forgotten = 1 - np.exp(-1.5 * (1 / 2 + 1 / 6))
    later = episodes_later(rng, _all(0.7), _all(1.5), every_s=6.0, lasts_s=2.0)
    assert (later == 0.7).mean() == pytest.approx(np.exp(-0.75), abs=NOISE)
    assert (later > 0).mean() == pytest.approx(1 - 0.75 * forgotten, abs=NOISE)
    from_calm = episodes_later(rng, _all(0.0), _all(1.5), every_s=6.0, lasts_s=2.0)
    assert (from_calm > 0).mean() == pytest.approx(0.25 * forgotten, abs=NOISE)
    others = later[(later > 0) & (later != 0.7)]
    assert others.mean() == pytest.approx(0.5, abs=5.0 / np.sqrt(12 * len(others)))


def test_a_chain_returns_to_its_share() -> None:
    rng, share = np.random.default_rng(2), 0.3
    for now in (0.0, 1.0):
        later = two_state_chain_later(rng, _all(now), _all(5.0), _all(share), memory_s=20.0)
        expected = share + np.exp(-0.25) * (now - share)
        assert later.mean() == pytest.approx(expected, abs=NOISE)


def test_an_edge_that_was_busy_is_likely_to_be_and_its_queue_has_moved() -> None:
    config = EdgeProcessConfig(queue_median_s=0.4, queue_sigma=0.9, memory_s=20.0)
    motion = EdgeMotion(_all(0.3), np.ones((1, LANES)), np.full((1, LANES), 1.2))
    row = np.zeros(LANES, dtype=int)
    queue_s = edge_queue_later(np.random.default_rng(3), config, motion, row, _all(8.0))
    busy = queue_s > 0
    keep = np.exp(-0.4)
    assert busy.mean() == pytest.approx(0.3 + 0.7 * keep, abs=NOISE)
    sd, few = 0.9 * np.sqrt(1 - keep**2), 5.0 / np.sqrt(busy.sum())
    logs = np.log(queue_s[busy] / 0.4)
    assert logs.mean() == pytest.approx(1.2 * keep, abs=few * sd)
    assert logs.std() == pytest.approx(sd, rel=few)


def test_drawn_on_from_a_row_a_path_has_the_law_of_the_next_row() -> None:
    # 3 s from row 1 to row 2, drawn as one path, and drawn on from row 1.
    config = LinkProcessConfig(disturbance_every_s=3.0, disturbance_lasts_s=2.0)
    gap_s = np.array([0.0, 1.0, 3.0])[:, None] * np.ones(LANES)
    rng = np.random.default_rng(4)
    path = draw_path(rng, config, gap_s)
    one = np.ones(LANES, dtype=int)
    later = path_later(rng, config, path.at(one), gap_s[2])
    for name in ("uplink", "downlink", "rtt"):
        logs = np.log(getattr(path, name))
        drawn = np.log(getattr(later, name))
        sd = logs.std()
        # Sizes differ between lanes, so the tails are heavy: ten standard errors of a normal one.
        for row in (0, 1):
            apart = np.mean(logs[row] * logs[2]) - np.mean(logs[row] * drawn)
            assert apart == pytest.approx(0.0, abs=2 * NOISE * sd**2)
        assert drawn.std() == pytest.approx(logs[2].std(), rel=2 * NOISE)
    same = path.severity[1] > 0
    stays = [
        (severity[same] == path.severity[1][same]).mean()
        for severity in (
            path.severity[2],
            later.severity,
        )
    ]
    assert stays[0] == pytest.approx(stays[1], abs=10.0 / np.sqrt(same.sum()))
    assert (later.severity > 0).mean() == pytest.approx(0.4, abs=NOISE)


def test_no_time_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    gap_s = np.full((4, 500), 1.7)
    row, none = np.arange(500) % 4, np.zeros(500)
    lanes = np.arange(500)
    motion = draw_motion(rng, LinkProcessConfig(), ("lte", "wifi"), gap_s)
    link, calm = links_later(rng, LinkProcessConfig(), motion, row, none)
    for name in ("uplink", "downlink", "rtt", "severity"):
        then = getattr(motion.path, name)[row, lanes]
        np.testing.assert_array_equal(getattr(motion.path.at(row), name), then)
    np.testing.assert_array_equal(
        calm.uplink_bps, motion.still.uplink_bps * motion.path.uplink[row, lanes]
    )
    severity = motion.path.severity[row, lanes]
    np.testing.assert_allclose(link.uplink_bps, calm.uplink_bps * 0.00133**severity)
    np.testing.assert_array_equal(calm.after_s > 0, severity > 0)
    edges = draw_edge_motion(rng, replace(EdgeProcessConfig(), memory_s=1.0), gap_s)
    queue_s = edge_queue_later(rng, EdgeProcessConfig(), edges, row, none)
    busy = edges.busy[row, lanes]
    np.testing.assert_allclose(queue_s, busy * 0.3 * np.exp(edges.log_queue[row, lanes]))
