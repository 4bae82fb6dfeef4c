"""The imitators: they learn maui-true's answers, and run as arrays as they do in scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from agents.bundle import BundlePolicy
from agents.maui_policy import MauiPolicy
from agents.rivals.imitation import Examples, train_imitators, trees_of, visit
from agents.rivals.trees import TreeBundle, TreePolicy, load_trees
from agents.rollout import roll_out
from envs.config import EnvConfig
from envs.scenario import Scenario, draw_scenario
from envs.workload import WorkloadTable
from offload.errors import BundleError
from offload.features import N_FEATURES
from offload.tasks.profile_table import load_profile_table
from offload.types import Objective


@pytest.fixture(scope="module")
def examples() -> Examples:
    config = EnvConfig()
    table = WorkloadTable.of(load_profile_table(), config.workload)
    policy = MauiPolicy(Objective.MIXED, sees_truth=False)
    return visit(np.random.default_rng(0), policy, config, table, 32_768)


def _small() -> TreeBundle:
    """One tree: feature 2 at most 0.5: -1; else feature 0 at most 0.25: 2, else 4."""
    return TreeBundle(
        algorithm="imitation-boosting",
        objective=Objective.MIXED,
        feature=np.array([[2, 0, 0, 0, 0]], dtype=np.int8),
        threshold=np.array([[0.5, 0.0, 0.25, 0.0, 0.0]]),
        left=np.array([[1, 1, 3, 3, 4]], dtype=np.int16),
        right=np.array([[2, 1, 4, 3, 4]], dtype=np.int16),
        value=np.array([[0.0, -1.0, 0.0, 2.0, 4.0]]),
        base=-3.0,
        depth=2,
        provenance={"steps": 1},
    )


def test_a_tree_by_hand() -> None:
    x = np.zeros((4, N_FEATURES))
    x[:, 2] = [0.5, 0.51, 0.9, 0.9]
    x[:, 0] = [0.9, 0.25, 0.26, 0.0]
    assert TreePolicy(_small()).scores(x).tolist() == [-4.0, -1.0, 1.0, -1.0]


def test_visiting_gives_the_answers_of_the_truth(examples: Examples) -> None:
    assert examples.observations.shape == (32_768, N_FEATURES)
    assert examples.observations.dtype == np.float32
    assert 0.1 < examples.answers.mean() < 0.5
    both = examples + examples
    assert len(both.answers) == 2 * 32_768


def test_trees_as_arrays_decide_as_scikit_learn_does(examples: Examples) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble", reason="scikit-learn is not installed")
    model = ensemble.HistGradientBoostingClassifier(max_iter=30, random_state=0)
    with threadpool_limits(1):
        model.fit(examples.observations[:20_000], examples.answers[:20_000])
    ours = TreePolicy(trees_of(model, EnvConfig(), {}))
    unseen = examples.observations[20_000:30_000]
    np.testing.assert_allclose(
        ours.scores(unseen), model.decision_function(unseen), rtol=1e-9, atol=1e-12
    )
    # Thresholds lie between seen values; values on them show which way a tie goes.
    on_them = unseen.astype(np.float64)
    rng = np.random.default_rng(0)
    tree = rng.integers(len(ours.bundle.value), size=len(on_them))
    feature, threshold = ours.bundle.feature[tree, 0], ours.bundle.threshold[tree, 0]
    on_them[np.arange(len(on_them)), feature] = threshold
    np.testing.assert_allclose(ours.scores(on_them), model.decision_function(on_them), rtol=1e-9)


@pytest.mark.slow
def test_imitators_learn_which_task_belongs_where(sharp_world: EnvConfig) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    table = WorkloadTable.of(load_profile_table(), sharp_world.workload)
    logistic, trees = train_imitators(np.random.default_rng(1), sharp_world, table, 32_768)
    unseen = draw_scenario(np.random.default_rng(2), sharp_world, table, 200)
    for policy in (BundlePolicy(logistic), TreePolicy(trees)):
        played = roll_out(policy, unseen, sharp_world)
        assert (played.placement == played.optimum).mean() > 0.97
        assert 0.1 < played.placement.mean() < 0.9
    assert logistic.provenance["steps"] == trees.provenance["steps"] == 32_768


def test_trees_come_back_from_their_folder(tmp_path: Path, scenario: Scenario) -> None:
    _small().save(tmp_path)
    loaded = load_trees(tmp_path)
    assert loaded.provenance == {"steps": 1}
    first, again = (roll_out(TreePolicy(t), scenario, EnvConfig()) for t in (_small(), loaded))
    np.testing.assert_array_equal(first.placement, again.placement)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left": np.array([[1, 1, 9, 3, 4]], dtype=np.int16)}, "left goes from"),
        ({"right": np.array([[-2, 1, 4, 3, 4]], dtype=np.int16)}, "right goes from"),
        ({"feature": np.full((1, 5), N_FEATURES, dtype=np.int8)}, "feature goes from"),
        ({"value": np.array([[0.0, np.nan, 0.0, 2.0, 4.0]])}, "not finite"),
        ({"threshold": np.full((1, 5), np.nan)}, "not a number"),
        ({"threshold": np.zeros((1, 4))}, "of shape"),
        ({"value": np.zeros(5)}, r"\(trees, nodes\)"),
        ({"depth": 6}, "depth is 6"),
    ],
)
def test_trees_that_cannot_be_are_refused(change, message) -> None:
    with pytest.raises(BundleError, match=message):
        replace(_small(), **change)


@pytest.mark.parametrize("damage", ["json", "arrays", "features", "missing"])
def test_a_damaged_folder_is_one_clear_error(damage: str, tmp_path: Path) -> None:
    _small().save(tmp_path)
    path = tmp_path / "policy.json"
    if damage == "json":
        path.write_text(path.read_text().replace('"base"', '"bass"'))
    elif damage == "features":
        path.write_text(path.read_text().replace('"rtt"', '"rrt"'))
    elif damage == "arrays":
        stored = (tmp_path / "trees.npz").read_bytes()
        (tmp_path / "trees.npz").write_bytes(stored[: len(stored) // 2])
    else:
        path.unlink()
    with pytest.raises(BundleError):
        load_trees(tmp_path)
