"""What a device remembers of its link, worked out probe by probe in plain Python."""

from __future__ import annotations

import math
import statistics
from dataclasses import fields, replace

import numpy as np
import pytest

from offload.link_memory import LinkMemory, histories
from offload.types import LinkHistory, LinkState

LINK = LinkState(rtt_s=0.05, jitter_s=0.01, loss=0.0, uplink_bps=8e6, downlink_bps=3e7, age_s=0.5)
NAMES = [field.name for field in fields(LinkHistory)]


def values(history: LinkHistory) -> list[float]:
    return [float(getattr(history, name)) for name in NAMES]


def test_nothing_is_remembered_before_the_second_probe() -> None:
    memory = LinkMemory()
    assert memory.history() == LinkHistory()
    memory.saw(LINK, 10.0)
    assert values(memory.history()) == [0.0] * len(NAMES)


def test_a_probe_that_was_seen_before_counts_once() -> None:
    memory = LinkMemory()
    memory.saw(LINK, 10.0)
    memory.saw(replace(LINK, uplink_bps=4e6, age_s=0.0), 14.0)
    once = memory.history()
    for waited_s in (0.3, 1.7):
        memory.saw(replace(LINK, uplink_bps=4e6, age_s=waited_s), 14.0 + waited_s)
    assert memory.history() == once


def test_three_probes_by_hand() -> None:
    memory = LinkMemory()
    rates, probed_s = (8e6, 2e6, 4e6), (0.0, 10.0, 30.0)
    for rate_bps, at_s in zip(rates, probed_s, strict=True):
        memory.saw(replace(LINK, uplink_bps=rate_bps), at_s + LINK.age_s)
    found = memory.history()
    logs = [math.log(rate) for rate in rates]
    weights = [math.exp(-1.5), math.exp(-1.0), 1.0]  # 30 s, 20 s and 0 s ago
    recent = sum(w * x for w, x in zip(weights, logs, strict=True)) / sum(weights)
    assert found.uplink_recent == pytest.approx(recent - logs[-1])
    assert found.uplink_mean == pytest.approx(0.0, abs=1e-12)  # of a half, a quarter and twice
    assert found.uplink_spread == pytest.approx(statistics.pstdev(logs))
    assert found.uplink_before == pytest.approx(-math.log(2.0))
    assert found.probe_gap_s == pytest.approx(20.0)
    assert (found.downlink_recent, found.rtt_spread, found.rtt_before) == (0.0, 0.0, 0.0)


def test_many_links_are_remembered_as_each_alone() -> None:
    rng = np.random.default_rng(4)
    steps, lanes = 30, 5
    now_s = np.cumsum(rng.exponential(2.0, (steps, lanes)), axis=0)
    # Half of the decisions share the probe of the decision before.
    is_new = rng.random((steps, lanes)) < 0.5
    is_new[0] = True
    newest = np.maximum.accumulate(np.where(is_new, np.arange(steps)[:, None], 0), axis=0)

    def held(drawn: np.ndarray) -> np.ndarray:
        return np.take_along_axis(drawn, newest, axis=0)

    probed_s = held(now_s - rng.uniform(0.0, 0.1, (steps, lanes)))
    link = LinkState(
        rtt_s=held(rng.lognormal(-3.0, 1.0, (steps, lanes))),
        jitter_s=np.zeros((steps, lanes)),
        loss=np.zeros((steps, lanes)),
        uplink_bps=held(rng.lognormal(15.0, 1.0, (steps, lanes))),
        downlink_bps=held(rng.lognormal(16.0, 1.0, (steps, lanes))),
        age_s=now_s - probed_s,
    )
    together = histories(link, now_s)
    for lane in range(lanes):
        memory = LinkMemory()
        for step in range(steps):
            one = {f.name: float(getattr(link, f.name)[step, lane]) for f in fields(LinkState)}
            memory.saw(LinkState(**one), float(now_s[step, lane]))
            expected = [getattr(together, name)[step, lane] for name in NAMES]
            assert values(memory.history()) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_dead_link_gives_numbers() -> None:
    memory = LinkMemory()
    memory.saw(LINK, 1.0)
    memory.saw(replace(LINK, uplink_bps=0.0, rtt_s=0.0), 2.0)
    assert all(math.isfinite(value) for value in values(memory.history()))
