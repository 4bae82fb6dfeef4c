"""From a trained stable-baselines3 model to the plain layers of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agents.bundle import Layer
from offload.errors import ConfigError

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm


def network_layers(model: BaseAlgorithm) -> tuple[tuple[Layer, ...], str]:
    """Layers that lead from the observation to the action scores, and their activation.

    Works for actor-critic policies (PPO, A2C: policy network and action head) and for Q networks
    (DQN).

    Raises:
        ConfigError: the network is no perceptron of linear layers with one activation.
    """
    from torch import nn

    policy: Any = model.policy
    if hasattr(policy, "q_net"):
        modules = list(policy.q_net.q_net)
    elif hasattr(policy, "action_net"):
        modules = [*policy.mlp_extractor.policy_net, policy.action_net]
    else:
        raise ConfigError(f"cannot export the policy of {type(model).__name__}")

    names = {nn.ReLU: "relu", nn.Tanh: "tanh"}
    layers: list[Layer] = []
    activations: set[str] = set()
    for module in modules:
        if isinstance(module, nn.Linear):
            weight = module.weight.detach().cpu().numpy().astype(np.float32).copy()
            bias = module.bias.detach().cpu().numpy().astype(np.float32).copy()
            layers.append((weight, bias))
        elif type(module) in names:
            activations.add(names[type(module)])
        else:
            raise ConfigError(f"cannot export a layer of type {type(module).__name__}")
    if len(activations) > 1:
        raise ConfigError(f"cannot export a mixture of activations: {sorted(activations)}")
    return tuple(layers), (activations.pop() if activations else "relu")
