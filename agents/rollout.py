"""Plays a policy through a scenario and keeps what came of each decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics, StepResult
from envs.scenario import Scenario
from offload.interfaces import Policy
from offload.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a policy did in a scenario; every array has shape (steps, lanes).

    Attributes as in :class:`envs.dynamics.StepResult`, and ``placement``, what was chosen.
    """

    placement: IntArray
    optimum: IntArray
    cost: FloatArray
    local_cost: FloatArray
    edge_cost: FloatArray
    seconds: FloatArray
    energy_j: FloatArray
    missed: FloatArray
    fell_back: FloatArray

    @property
    def regret(self) -> FloatArray:
        """Cost above the better placement at the state the policy had come to."""
        return self.cost - np.minimum(self.local_cost, self.edge_cost)


def roll_out(policy: Policy, scenario: Scenario, config: EnvConfig) -> Rollout:
    """Let ``policy`` place every task of every lane of ``scenario``."""
    dynamics = OffloadDynamics(scenario, config)
    placements: list[IntArray] = []
    results: list[StepResult] = []
    while not dynamics.done:
        context = dynamics.true_context() if policy.sees_truth else dynamics.measured_context()
        placement = policy.decide(context)
        placements.append(placement)
        results.append(dynamics.step(placement))
    kept = (
        "optimum",
        "cost",
        "local_cost",
        "edge_cost",
        "seconds",
        "energy_j",
        "missed",
        "fell_back",
    )
    return Rollout(
        placement=np.stack(placements),
        **{name: np.stack([getattr(result, name) for result in results]) for name in kept},
    )
