"""The observation: its scaling by hand, its bounds, and the way back."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from offload.energy_model import RADIOS
from offload.features import (
    FEATURE_NAMES,
    FEATURES,
    N_FEATURES,
    encode,
    raw_features,
    scale,
    unscale,
)
from offload.link_model import CONGESTION_CONTROLS
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    LastRun,
    LinkHistory,
    LinkState,
    Objective,
    TaskProfile,
    Transfer,
)

CONTEXT = DecisionContext(
    link=LinkState(
        rtt_s=0.1, jitter_s=0.01, loss=0.02, uplink_bps=1e6, downlink_bps=4e6, age_s=1.5
    ),
    task=TaskProfile(local_s=2.0, edge_s=0.2, input_bytes=1e4, output_bytes=1e3, deadline_s=5.0),
    device=DeviceState(
        queue_s=0.4,
        battery=0.8,
        radio=RADIOS["wifi"],
        radio_tail_left_s=0.1,
        cpu_w=5.0,
        idle_w=0.2,
    ),
    edge=EdgeState(queue_s=0.3, age_s=12.0),
    reference_s=3.0,
    reference_j=10.0,
    history=LinkHistory(*(0.01 * number for number in range(12)), probe_gap_s=2.5),
    last_run=LastRun(upload=0.7, download=-0.4, age_s=20.0),
)


def test_every_raw_value_stands_under_its_name() -> None:
    raw = dict(zip(FEATURE_NAMES, raw_features(CONTEXT, Objective.LATENCY), strict=True))
    predicted_edge_cost = raw.pop("predicted_edge_cost")
    advantage = raw.pop("predicted_advantage")
    assert raw == pytest.approx(
        {
            "rtt": 0.1,
            "jitter": 0.01,
            "loss": 0.02,
            "uplink": 1e6,
            "downlink": 4e6,
            "estimate_age": 1.5,
            "local_seconds": 2.0,
            "edge_seconds": 0.2,
            "input_bytes": 1e4,
            "output_bytes": 1e3,
            "deadline": 5.0,
            "local_queue": 0.4,
            "edge_queue": 0.3,
            "edge_queue_age": 12.0,
            "battery": 0.8,
            "radio_tail_left": 0.1,
            "reference_seconds": 3.0,
            "predicted_local_cost": 2.4 / 3.0,
            "uplink_recent": 0.0,
            "downlink_recent": 0.01,
            "rtt_recent": 0.02,
            "uplink_mean": 0.03,
            "downlink_mean": 0.04,
            "rtt_mean": 0.05,
            "uplink_spread": 0.06,
            "downlink_spread": 0.07,
            "rtt_spread": 0.08,
            "uplink_before": 0.09,
            "downlink_before": 0.10,
            "rtt_before": 0.11,
            "probe_gap": 2.5,
            "run_upload": 0.7,
            "run_download": -0.4,
            "run_age": 20.0,
        }
    )
    # 0.1 s of RTT, 0.5 s at the edge, and some time for the bytes and the losses.
    assert 0.6 / 3.0 < predicted_edge_cost < 0.9 / 3.0
    assert advantage == pytest.approx(math.log(0.8 / predicted_edge_cost))


def test_the_scale_by_hand() -> None:
    observation = dict(zip(FEATURE_NAMES, encode(CONTEXT, Objective.LATENCY), strict=True))
    assert observation["rtt"] == pytest.approx(math.log(101) / math.log(10_001), rel=1e-6)
    assert observation["uplink"] == pytest.approx(math.log(101) / math.log(100_001), rel=1e-6)
    assert observation["battery"] == pytest.approx(0.8, rel=1e-6)
    assert observation["predicted_local_cost"] == pytest.approx(
        math.log(9) / math.log(10_001), rel=1e-6
    )


LOW = np.array([f.low for f in FEATURES])
HIGH = np.array([f.high for f in FEATURES])


def test_the_bounds_map_to_zero_and_one() -> None:
    np.testing.assert_array_equal(scale(LOW), 0.0)
    np.testing.assert_allclose(scale(HIGH), 1.0, rtol=1e-6)
    both_ways = [f.name for f in FEATURES if f.low != 0.0]
    assert len(both_ways) == 12
    assert {"predicted_advantage", "rtt_before", "run_upload"} < set(both_ways)
    even = np.where(LOW < 0.0, 0.0, HIGH)
    np.testing.assert_array_equal(scale(even)[LOW < 0.0], 0.5)


def test_values_beyond_the_bounds_are_clipped() -> None:
    beyond = HIGH * 50.0
    np.testing.assert_array_equal(scale(beyond), 1.0)
    np.testing.assert_array_equal(scale(np.full(N_FEATURES, np.inf)), 1.0)
    np.testing.assert_array_equal(scale(-beyond), 0.0)


def test_there_and_back() -> None:
    rng = np.random.default_rng(5)
    raw = LOW + (HIGH - LOW) * np.exp(rng.uniform(np.log(1e-6), 0.0, (500, N_FEATURES)))
    observation = scale(raw)
    assert observation.dtype == np.float32
    assert observation.shape == raw.shape
    # float32 keeps seven digits of the logarithm, so about five of the value.
    np.testing.assert_allclose(unscale(observation), raw, rtol=1e-4, atol=1e-6)


def test_scaling_leaves_its_argument_alone() -> None:
    raw = raw_features(CONTEXT, Objective.MIXED)
    before = raw.copy()
    observation = scale(raw)
    unscale(observation)
    np.testing.assert_array_equal(raw, before)
    np.testing.assert_array_equal(observation, scale(before))


def test_a_greater_value_is_never_scaled_lower() -> None:
    steps = LOW + np.linspace(0.0, 1.0, 50)[:, None] * (HIGH - LOW)
    assert np.all(np.diff(scale(steps), axis=0) > 0)


def _one(rng: np.random.Generator, known: bool) -> DecisionContext:
    """A context of plain floats, now and then with a 0 or a value beyond all bounds."""

    def amount(low: float, high: float) -> float:
        value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        return value if rng.random() > 0.05 else float(rng.choice([0.0, high * 1e4]))

    return DecisionContext(
        link=LinkState(
            rtt_s=amount(1e-4, 3.0),
            jitter_s=amount(1e-5, 1.0),
            loss=min(amount(1e-4, 0.5), 1.0),
            uplink_bps=amount(1e3, 1e9),
            downlink_bps=amount(1e3, 1e9),
            age_s=amount(0.01, 100.0),
        ),
        task=TaskProfile(
            local_s=amount(1e-4, 100.0),
            edge_s=amount(1e-4, 100.0),
            input_bytes=amount(10.0, 1e8),
            output_bytes=amount(10.0, 1e8),
            deadline_s=amount(1e-2, 1e3),
        ),
        device=DeviceState(
            queue_s=amount(1e-3, 100.0),
            battery=float(rng.choice([0.0, 1.0, rng.random()])),
            radio=RADIOS[str(rng.choice(list(RADIOS)))],
            radio_tail_left_s=amount(0.1, 20.0),
            cpu_w=5.0,
            idle_w=0.2,
        ),
        edge=EdgeState(queue_s=amount(1e-3, 100.0), age_s=amount(0.1, 1e3)),
        reference_s=amount(1e-3, 1e3),
        reference_j=amount(1e-3, 1e3),
        congestion_control=str(rng.choice(list(CONGESTION_CONTROLS))),
        moved=Transfer(amount(1e-3, 10.0), amount(1e-3, 10.0)) if known else None,
        history=LinkHistory(*(float(rng.normal(0.0, 2.0)) for _ in range(12)), amount(0.1, 50.0)),
        last_run=LastRun(float(rng.normal()), float(rng.normal()), amount(0.1, 1e3)),
    )


def _as_batch(part: Any) -> Any:
    """The same with every number in an array of shape (1,)."""
    if isinstance(part, float):
        return np.array([part])
    if is_dataclass(part) and not isinstance(part, type):
        return type(part)(**{f.name: _as_batch(getattr(part, f.name)) for f in fields(part)})
    return part


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("objective", list(Objective))
@pytest.mark.parametrize("known", [False, True], ids=["predicted transfer", "known transfer"])
def test_one_context_is_encoded_as_a_batch_of_it(objective: Objective, known: bool) -> None:
    rng = np.random.default_rng(6)
    undefined = 0
    for _ in range(500):
        context = _one(rng, known)
        alone = encode(context, objective)
        (in_batch,) = encode(_as_batch(context), objective)
        assert alone.dtype == np.float32
        assert alone.shape == (N_FEATURES,)
        np.testing.assert_allclose(alone, in_batch, rtol=1e-6, atol=1e-7)
        undefined += bool(np.isnan(alone).any())
    assert undefined < 50  # 0 / 0, where a task and its reference take no time


def test_what_is_not_a_number_stays_visible() -> None:
    for part, name in (("link", "rtt_s"), ("task", "local_s"), ("edge", "queue_s")):
        broken = replace(CONTEXT, **{part: replace(getattr(CONTEXT, part), **{name: math.nan})})
        assert np.isnan(encode(broken, Objective.MIXED)).any()
        assert np.isnan(encode(_as_batch(broken), Objective.MIXED)).any()


def test_no_deadline_is_the_highest_deadline() -> None:
    unhurried = replace(CONTEXT, task=replace(CONTEXT.task, deadline_s=math.inf))
    observation = dict(zip(FEATURE_NAMES, encode(unhurried, Objective.MIXED), strict=True))
    assert observation["deadline"] == 1.0
    (in_batch,) = encode(_as_batch(unhurried), Objective.MIXED)
    np.testing.assert_allclose(list(observation.values()), in_batch, rtol=1e-6)
