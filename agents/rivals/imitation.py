"""Classifiers that imitate maui-true: told what a device measures, they say what it would.

Examples come from two rounds, as in DAgger (Ross, Gordon and Bagnell, AISTATS 2011): states that
maui-measured comes to, then states that the classifier of the first round comes to itself.
scikit-learn trains them; what is learned runs without it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from threadpoolctl import threadpool_limits

from agents.bundle import BundlePolicy, PolicyBundle
from agents.maui_policy import MauiPolicy
from agents.rivals import DECISIONS
from agents.rivals.trees import TreeBundle, TreePolicy
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import draw_scenario
from envs.workload import WorkloadTable
from offload.errors import ConfigError
from offload.interfaces import Policy
from offload.types import FloatArray, IntArray

LANES = 512
MOST = DECISIONS // 4
"""Decisions either learns from: fewer than it may, since fitting all of them takes minutes."""
_TREES, _LEAVES = 100, 31


@dataclass(frozen=True, slots=True)
class Examples:
    """Decisions to learn from.

    Attributes:
        observations: what the device sees, shape (n, N_FEATURES).
        answers: maui-true's placements, shape (n,).
    """

    observations: FloatArray
    answers: IntArray

    def __add__(self, other: Examples) -> Examples:
        return Examples(
            np.concatenate([self.observations, other.observations]),
            np.concatenate([self.answers, other.answers]),
        )


def visit(
    rng: Generator, policy: Policy, config: EnvConfig, table: WorkloadTable, decisions: int
) -> Examples:
    """Examples at the states that ``policy`` comes to."""
    seen = []
    for _ in range(max(decisions // (LANES * config.episode_tasks), 1)):
        dynamics = OffloadDynamics(draw_scenario(rng, config, table, LANES), config)
        while not dynamics.done:
            observations = dynamics.observation()
            placement = policy.decide(dynamics.measured_context())
            seen.append((observations, dynamics.step(placement).optimum))
    return Examples(*(np.concatenate(column) for column in zip(*seen, strict=True)))


def require_sklearn() -> None:
    """Say so at once where training will need scikit-learn and not find it.

    Raises:
        ConfigError: it is not installed.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise ConfigError(
            "scikit-learn trains the imitators and is missing; "
            "pip install -r requirements-imitation.txt"
        )


def train_imitators(
    rng: Generator, config: EnvConfig, table: WorkloadTable, decisions: int = MOST
) -> tuple[PolicyBundle, TreeBundle]:
    """A logistic regression and boosted trees, each on so many decisions.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    require_sklearn()
    half = decisions // 2
    first = visit(rng, MauiPolicy(config.objective, sees_truth=False), config, table, half)
    own = visit(rng, BundlePolicy(fit_logistic(first, config)), config, table, half)
    logistic = fit_logistic(first + own, config)
    own = visit(rng, TreePolicy(fit_boosting(first, config)), config, table, half)
    return logistic, fit_boosting(first + own, config)


def _provenance(examples: Examples) -> dict[str, Any]:
    import sklearn

    return {"steps": len(examples.answers), "scikit-learn": sklearn.__version__}


def fit_logistic(examples: Examples, config: EnvConfig) -> PolicyBundle:
    """Logistic regression as a network of one layer."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=100.0, max_iter=500)
    with threadpool_limits(1):
        model.fit(examples.observations.astype(np.float64), examples.answers)
    weight = np.concatenate([np.zeros_like(model.coef_), model.coef_]).astype(np.float32)
    bias = np.concatenate([[0.0], model.intercept_]).astype(np.float32)
    return PolicyBundle(
        algorithm="imitation-logistic",
        objective=config.objective,
        activation="relu",
        layers=((weight, bias),),
        provenance=_provenance(examples),
    )


def fit_boosting(examples: Examples, config: EnvConfig) -> TreeBundle:
    """Gradient boosting, taken out of scikit-learn as arrays."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=_TREES, max_leaf_nodes=_LEAVES, early_stopping=False, random_state=0
    )
    with threadpool_limits(1):  # threads that wait for each other spin, and others want the cores
        model.fit(examples.observations, examples.answers)
    return trees_of(model, config, _provenance(examples))


def trees_of(model: Any, config: EnvConfig, provenance: dict[str, Any]) -> TreeBundle:
    """The trees of a fitted HistGradientBoostingClassifier of two classes."""
    grown = [stage[0].nodes for stage in model._predictors]
    shape = (len(grown), max(len(nodes) for nodes in grown))
    feature, threshold = np.zeros(shape, dtype=np.int8), np.zeros(shape)
    left, right = (np.tile(np.arange(shape[1], dtype=np.int16), (shape[0], 1)) for _ in range(2))
    value = np.zeros(shape)
    for index, nodes in enumerate(grown):
        inner = np.flatnonzero(nodes["is_leaf"] == 0)
        leaves = np.flatnonzero(nodes["is_leaf"])
        feature[index, inner] = nodes["feature_idx"][inner]
        threshold[index, inner] = nodes["num_threshold"][inner]
        left[index, inner], right[index, inner] = nodes["left"][inner], nodes["right"][inner]
        value[index, leaves] = nodes["value"][leaves]
    return TreeBundle(
        algorithm="imitation-boosting",
        objective=config.objective,
        feature=feature,
        threshold=threshold,
        left=left,
        right=right,
        value=value,
        base=float(np.ravel(model._baseline_prediction)[0]),
        depth=max(int(nodes["depth"].max()) for nodes in grown),
        provenance=provenance,
    )
