"""A trained model and the bundle made of it decide alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.bundle import BundlePolicy, PolicyBundle
from agents.export import network_layers
from agents.training import TrainConfig, build_model
from envs.batched import BatchedOffloadVecEnv
from envs.config import EnvConfig
from offload.errors import ConfigError
from offload.features import N_FEATURES
from offload.types import Objective

OBSERVATIONS = np.random.default_rng(2).random((10_000, N_FEATURES)).astype(np.float32)


def _margin(model: Any, observations: np.ndarray) -> np.ndarray:
    """Score of the edge less score of the device, as torch has it."""
    tensor = torch.as_tensor(observations)
    with torch.no_grad():
        if hasattr(model, "q_net"):
            scores = model.q_net(tensor).numpy()
        else:
            scores = model.policy.get_distribution(tensor).distribution.logits.numpy()
    return np.asarray(scores[:, 1] - scores[:, 0])


def _model(algorithm: str) -> Any:
    env = BatchedOffloadVecEnv(2, EnvConfig(episode_tasks=4), seed=0)
    model: Any = build_model(TrainConfig(algo=algorithm, lanes=2), env)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # fresh action heads are all but flat
        for parameter in model.policy.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
        head = model.q_net.q_net[-1] if algorithm == "dqn" else model.policy.action_net
        head.bias[0] += float(np.median(_margin(model, OBSERVATIONS)))  # both answers occur
    return model


@pytest.mark.parametrize("algorithm", ["ppo", "dqn", "a2c"])
def test_bundle_and_model_agree_on_ten_thousand_observations(algorithm: str) -> None:
    model = _model(algorithm)
    layers, activation = network_layers(model)
    policy = BundlePolicy(PolicyBundle(algorithm, Objective.MIXED, activation, layers))
    scores = policy.scores(OBSERVATIONS)
    margin = scores[:, 1] - scores[:, 0]
    np.testing.assert_allclose(margin, _margin(model, OBSERVATIONS), atol=1e-4)
    predicted, _ = model.predict(OBSERVATIONS, deterministic=True)
    clear = np.abs(margin) > 1e-5
    assert clear.sum() > 9_900
    assert 4_500 < predicted.sum() < 5_500
    np.testing.assert_array_equal(policy.act_batch(OBSERVATIONS)[clear], predicted[clear])
    alone = [policy.act(row) for row in OBSERVATIONS[:500]]
    np.testing.assert_array_equal(np.array(alone)[clear[:500]], predicted[:500][clear[:500]])


def test_exported_weights_are_copies() -> None:
    model = _model("ppo")
    layers, _ = network_layers(model)
    before = layers[0][0].copy()
    with torch.no_grad():
        model.policy.mlp_extractor.policy_net[0].weight += 1.0
    np.testing.assert_array_equal(layers[0][0], before)


def test_a_network_that_is_no_perceptron_is_refused() -> None:
    model = _model("ppo")
    model.policy.mlp_extractor.policy_net.append(torch.nn.LayerNorm(64))
    with pytest.raises(ConfigError, match="LayerNorm"):
        network_layers(model)
