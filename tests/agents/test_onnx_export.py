"""The exported model takes physical units and decides as the bundle does."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.bundle import BundlePolicy, PolicyBundle
from agents.onnx_export import to_onnx
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import draw_scenario
from envs.workload import WorkloadTable
from offload.features import FEATURES, N_FEATURES, raw_features, scale

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnx", reason="pip install -r requirements-onnx.txt")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def raw(bundle: PolicyBundle, table: WorkloadTable) -> np.ndarray:
    """10,000 rows in physical units: of simulated decisions, at the bounds and far beyond them."""
    config = EnvConfig(objective=bundle.objective, episode_tasks=8)
    dynamics = OffloadDynamics(draw_scenario(np.random.default_rng(3), config, table, 1000), config)
    rng = np.random.default_rng(4)
    rows = []
    while not dynamics.done:
        rows.append(raw_features(dynamics.measured_context(), config.objective))
        dynamics.step(rng.integers(2, size=1000))
    low, high = np.array([f.low for f in FEATURES]), np.array([f.high for f in FEATURES])
    spread = low + (high - low) * np.exp(rng.uniform(-20.0, 2.0, (1998, N_FEATURES)))
    return np.concatenate([*rows, spread, [low, high]])


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_equal_to_the_bundle_on_10_000_observations(
    bundle: PolicyBundle, raw: np.ndarray, activation: str
) -> None:
    assert raw.shape == (10_000, N_FEATURES)
    bundle = replace(bundle, activation=activation)
    # Shift the last bias so that both answers occur.
    margin = float(np.median(np.diff(BundlePolicy(bundle).scores(scale(raw)))))
    weight, bias = bundle.layers[-1]
    shifted = (weight, bias + np.array([margin, 0.0], np.float32))
    bundle = replace(bundle, layers=(*bundle.layers[:-1], shifted))
    policy = BundlePolicy(bundle)

    session = onnxruntime.InferenceSession(to_onnx(bundle).SerializeToString())
    placement, scores = session.run(["placement", "scores"], {"features": raw})
    expected = policy.scores(scale(raw))
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)
    clear = np.abs(expected[:, 1] - expected[:, 0]) > 1e-4
    assert clear.sum() > 9_900
    assert 3_000 < placement.sum() < 7_000
    np.testing.assert_array_equal(placement[clear], policy.act_batch(scale(raw))[clear])


def test_a_tie_goes_to_the_device(bundle: PolicyBundle) -> None:
    flat = (np.zeros((2, N_FEATURES), np.float32), np.ones(2, np.float32))
    model = to_onnx(replace(bundle, layers=(flat,)))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (placement,) = session.run(["placement"], {"features": np.ones((3, N_FEATURES))})
    assert placement.tolist() == [0, 0, 0]


def test_the_command_writes_a_model_that_says_what_it_takes(
    bundle: PolicyBundle, tmp_path: Path
) -> None:
    bundle.save(tmp_path / "run" / "bundle")
    command = [sys.executable, "-m", "agents.onnx_export"]
    for given in ("run", "run/bundle"):
        out = tmp_path / "policy.onnx"
        out.unlink(missing_ok=True)
        subprocess.run([*command, str(tmp_path / given), str(out)], cwd=ROOT, check=True)
        session = onnxruntime.InferenceSession(str(out))
        said = session.get_modelmeta().custom_metadata_map
        assert said["objective"] == str(bundle.objective)
        assert json.loads(said["features"])[0] == {"name": "rtt", "unit": "s"}
        assert session.get_inputs()[0].shape == ["n", N_FEATURES]
    failed = subprocess.run(
        [*command, str(tmp_path / "none"), str(out)], cwd=ROOT, capture_output=True, text=True
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: no policy bundle at")
