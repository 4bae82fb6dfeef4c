"""LinUCB: a contextual bandit, linear in the observation, learning as it decides.

Li et al., "A Contextual-Bandit Approach to Personalized News Article Recommendation", WWW 2010,
algorithm 1 (disjoint linear models): for each placement a ridge regression of the cost on the
observation and a constant; chosen is the least cost less ``alpha`` standard errors. Decisions of
many episodes at once share one update. A bandit sees each decision's cost and nothing of what it
does to the next one.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from agents.bundle import BundlePolicy, PolicyBundle
from agents.rivals import DECISIONS
from agents.rivals.tuning import mean_cost
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import Scenario, draw_scenario
from envs.workload import WorkloadTable
from offload.features import N_FEATURES
from offload.types import FloatArray, IntArray

NAME = "linucb"
ALPHAS = (0.1, 1.0)
LANES = 256
_RIDGE = 1.0


class LinUcb:
    """The two regressions.

    Args:
        alpha: how many standard errors of doubt count in a placement's favour.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        width = N_FEATURES + 1
        self._gram = np.stack([_RIDGE * np.eye(width)] * 2)
        self._moment = np.zeros((2, width))

    @property
    def weights(self) -> FloatArray:
        """Predicted cost of each placement: weights of the observation, then the constant."""
        solved: FloatArray = np.linalg.solve(self._gram, self._moment[..., None])[..., 0]
        return solved

    def choose(self, observations: FloatArray) -> IntArray:
        """The placement of least optimistic cost, shape (n,)."""
        x = _with_constant(observations)
        cost = x @ self.weights.T
        for arm in (0, 1):
            variance = np.einsum("ni,ni->n", x, np.linalg.solve(self._gram[arm], x.T).T)
            cost[:, arm] -= self.alpha * np.sqrt(variance)
        return (cost[:, 1] < cost[:, 0]).astype(np.int8)

    def learn(self, observations: FloatArray, placement: IntArray, cost: FloatArray) -> None:
        """Take in what the chosen placements cost, arrays of shape (n, ...)."""
        x = _with_constant(observations)
        for arm in (0, 1):
            own = x[placement == arm]
            self._gram[arm] += own.T @ own
            self._moment[arm] += cost[placement == arm] @ own

    def bundle(self, config: EnvConfig, decisions: int) -> PolicyBundle:
        """What has been learned, frozen: the placement of least predicted cost."""
        weights = -self.weights.astype(np.float32)
        return PolicyBundle(
            algorithm=NAME,
            objective=config.objective,
            activation="relu",
            layers=((weights[:, :-1], weights[:, -1]),),
            provenance={"steps": decisions, "alpha": self.alpha},
        )


def _with_constant(observations: FloatArray) -> FloatArray:
    x = np.asarray(observations, dtype=np.float64)
    return np.column_stack([x, np.ones(len(x))])


def train_linucb(
    rng: Generator,
    config: EnvConfig,
    table: WorkloadTable,
    validation: Scenario,
    decisions: int = DECISIONS,
) -> PolicyBundle:
    """Learn with each of ALPHAS on an equal part of the decisions; keep what validates better."""
    learned = [_learn(rng, alpha, config, table, decisions // len(ALPHAS)) for alpha in ALPHAS]
    return min(learned, key=lambda bundle: mean_cost(BundlePolicy(bundle), validation, config))


def _learn(
    rng: Generator, alpha: float, config: EnvConfig, table: WorkloadTable, decisions: int
) -> PolicyBundle:
    bandit = LinUcb(alpha)
    taken = 0
    while taken < decisions:
        dynamics = OffloadDynamics(draw_scenario(rng, config, table, LANES), config)
        while not dynamics.done:
            observations = dynamics.observation()
            placement = bandit.choose(observations)
            bandit.learn(observations, placement, dynamics.step(placement).cost)
        taken += LANES * config.episode_tasks
    return bandit.bundle(config, taken)
