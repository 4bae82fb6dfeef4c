"""Bundles: what is saved comes back, what is damaged is refused, and NumPy alone runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.bundle import BundlePolicy, PolicyBundle, load_bundle
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import Scenario
from offload.errors import BundleError
from offload.features import N_FEATURES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def saved(bundle: PolicyBundle, tmp_path: Path) -> Path:
    bundle.save(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_bundle_comes_back(bundle: PolicyBundle, saved: Path) -> None:
    loaded = load_bundle(saved)
    assert replace(loaded, layers=bundle.layers) == bundle
    for (weight, bias), (weight_back, bias_back) in zip(bundle.layers, loaded.layers, strict=True):
        np.testing.assert_array_equal(weight, weight_back)
        np.testing.assert_array_equal(bias, bias_back)
    assert sorted(path.name for path in saved.iterdir()) == ["policy.json", "weights.npz"]


def test_a_bundle_is_replaced_whole(bundle: PolicyBundle, saved: Path) -> None:
    replace(bundle, algorithm="dqn").save(saved)
    assert load_bundle(saved).algorithm == "dqn"


def _edit(saved: Path, **changes: Any) -> None:
    path = saved / "policy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _weights(saved: Path, **changes: Any) -> None:
    with np.load(saved / "weights.npz") as stored:
        arrays = {**dict(stored), **changes}
    np.savez(saved / "weights.npz", **{k: v for k, v in arrays.items() if v is not None})


def _zip_bomb(saved: Path) -> None:
    with zipfile.ZipFile(saved / "weights.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weight_0.npy", bytes(80 << 20))


def _object_array(saved: Path) -> None:
    _weights(saved, weight_0=np.array([print, 1], dtype=object))


NAN = np.full((16, N_FEATURES), np.nan, dtype=np.float32)
ZEROS = np.zeros((16, N_FEATURES), dtype=np.float32)
DAMAGES = {
    "no folder": lambda s: [path.unlink() for path in s.iterdir()],
    "no weights": lambda s: (s / "weights.npz").unlink(),
    "half the weights": lambda s: (s / "weights.npz").write_bytes(
        (s / "weights.npz").read_bytes()[:700]
    ),
    "empty weights": lambda s: (s / "weights.npz").write_bytes(b""),
    "a bare array": lambda s: (s / "weights.npz").write_bytes(b"\x93NUMPY\x01\x00v\x00{}"),
    "not a number": lambda s: _weights(s, weight_0=NAN),
    "another shape": lambda s: _weights(s, weight_0=ZEROS[:3]),
    "another type": lambda s: _weights(s, weight_0=ZEROS.astype(np.float64)),
    "a layer missing": lambda s: _weights(s, bias_1=None),
    "a pickled object": _object_array,
    "a zip bomb": _zip_bomb,
    "shapes that do not follow": lambda s: _edit(s, layers=[[16, N_FEATURES], [8, 15], [2, 8]]),
    "one score": lambda s: (_edit(s, layers=[[16, N_FEATURES]]), _weights(s)),
    "no layers": lambda s: _edit(s, layers=[]),
    "layers that are no numbers": lambda s: _edit(s, layers=[["a", "b"]]),
    "other features": lambda s: _edit(s, features=["rtt"]),
    "another format": lambda s: _edit(s, format=2),
    "an unknown activation": lambda s: _edit(s, activation="gelu"),
    "an unknown objective": lambda s: _edit(s, objective="speed"),
    "rules without a name": lambda s: _edit(s, thresholds=[{"max_rtt_s": 1}]),
    "a list": lambda s: (s / "policy.json").write_text("[]"),
    "not JSON": lambda s: (s / "policy.json").write_text("{"),
    "not text": lambda s: (s / "policy.json").write_bytes(b"\xff\xfe\x00"),
    "nested without end": lambda s: (s / "policy.json").write_text("[" * 200_000),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_each_damage_is_one_clear_line(saved: Path, damage: Any) -> None:
    damage(saved)
    with pytest.raises(BundleError) as caught:
        load_bundle(saved)
    message = str(caught.value)
    assert "\n" not in message
    assert 10 < len(message) < 600


def test_no_flipped_bit_gets_through_as_another_error(bundle: PolicyBundle, saved: Path) -> None:
    whole = (saved / "weights.npz").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.choice(len(whole), 600, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        (saved / "weights.npz").write_bytes(damaged)
        try:
            loaded = load_bundle(saved)
        except BundleError:
            refused += 1
        else:  # dates and flags of the archive: the weights are whole
            for (weight, bias), (same_weight, same_bias) in zip(
                bundle.layers, loaded.layers, strict=True
            ):
                np.testing.assert_array_equal(weight, same_weight)
                np.testing.assert_array_equal(bias, same_bias)
    assert refused > 300


def _scores_by_hand(bundle: PolicyBundle, observation: np.ndarray) -> np.ndarray:
    x = observation.astype(np.float64)
    for index, (weight, bias) in enumerate(bundle.layers):
        x = weight.astype(np.float64) @ x + bias
        if index < len(bundle.layers) - 1:
            x = np.tanh(x) if bundle.activation == "tanh" else np.maximum(x, 0.0)
    return x


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_network_in_float64_by_hand(bundle: PolicyBundle, activation: str) -> None:
    bundle = replace(bundle, activation=activation)
    observations = np.random.default_rng(1).random((500, N_FEATURES)).astype(np.float32)
    # Shift the last bias so that both answers occur.
    margin = float(np.median(np.diff(BundlePolicy(bundle).scores(observations))))
    weight, bias = bundle.layers[-1]
    shifted = (weight, bias + np.array([margin, 0.0], np.float32))
    bundle = replace(bundle, layers=(*bundle.layers[:-1], shifted))
    policy = BundlePolicy(bundle)
    scores = np.array([_scores_by_hand(bundle, row) for row in observations])
    np.testing.assert_allclose(policy.scores(observations), scores, atol=1e-4)
    clear = np.abs(scores[:, 1] - scores[:, 0]) > 1e-4
    assert clear.sum() > 450
    best = scores.argmax(axis=1)
    assert 200 < best.sum() < 300
    np.testing.assert_array_equal(policy.act_batch(observations)[clear], best[clear])
    alone = np.array([policy.act(row) for row in observations])
    np.testing.assert_array_equal(alone[clear], best[clear])


def test_a_tie_goes_to_the_device(bundle: PolicyBundle) -> None:
    flat = (np.zeros((2, N_FEATURES), np.float32), np.ones(2, np.float32))
    policy = BundlePolicy(replace(bundle, layers=(flat,)))
    observations = np.ones((3, N_FEATURES), np.float32)
    assert policy.act(observations[0]) == 0
    assert policy.act_batch(observations).tolist() == [0, 0, 0]


def test_one_context_and_a_batch_decide_alike(bundle: PolicyBundle, scenario: Scenario) -> None:
    policy = BundlePolicy(bundle)
    dynamics = OffloadDynamics(scenario, EnvConfig(objective=bundle.objective))
    together = policy.decide(dynamics.measured_context())
    assert together.shape == (scenario.lanes,)
    for lane in range(scenario.lanes):
        alone = OffloadDynamics(scenario.lane(lane), EnvConfig(objective=bundle.objective))
        assert policy.decide(alone.measured_context())[0] == together[lane]
    assert together.dtype == np.int8


SCRIPT = """
import sys, time, statistics
from pathlib import Path
import numpy as np
from agents.bundle import BundlePolicy, load_bundle
from offload.features import N_FEATURES
policy = BundlePolicy(load_bundle(Path(sys.argv[1])))
observations = np.random.default_rng(0).random((3000, N_FEATURES)).astype(np.float32)
times = []
for observation in observations:
    start = time.perf_counter()
    policy.act(observation)
    times.append(time.perf_counter() - start)
heavy = {"torch", "stable_baselines3", "zmq", "matplotlib"} & set(sys.modules)
print(statistics.median(times), sorted(heavy))
"""


def test_a_bundle_decides_in_microseconds_without_torch(saved: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(saved)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    median_s, heavy = done.stdout.split(maxsplit=1)
    assert heavy.strip() == "[]"
    assert float(median_s) < 200e-6  # some 5 us on a quiet machine
