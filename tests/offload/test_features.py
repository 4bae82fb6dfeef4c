"""The observation: its scaling by hand, its bounds, and the way back."""

from __future__ import annotations

import math

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
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    LinkState,
    Objective,
    TaskProfile,
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
    assert {f.name for f in FEATURES if f.low != 0.0} == {"predicted_advantage"}
    tie = np.where(np.array(FEATURE_NAMES) == "predicted_advantage", 0.0, HIGH)
    assert scale(tie)[FEATURE_NAMES.index("predicted_advantage")] == 0.5


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
