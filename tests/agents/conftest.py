from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from agents.bundle import PolicyBundle
from envs.config import EnvConfig, WorkloadConfig
from envs.scenario import Scenario, draw_scenario
from envs.workload import WorkloadTable
from offload.features import N_FEATURES
from offload.tasks.profile_table import load_profile_table
from offload.types import Objective


@pytest.fixture
def sharp_world() -> EnvConfig:
    """One link, two kinds: one is quicker at the edge, the other moves megabytes for milliseconds.

    So neither side is right for all, and the task decides.
    """
    return EnvConfig(
        objective=Objective.LATENCY,
        profiles=("wifi",),
        episode_tasks=16,
        workload=WorkloadConfig(kinds=("ocr", "matmul"), mix_concentration=10.0),
    )


@pytest.fixture
def table() -> WorkloadTable:
    return WorkloadTable.of(load_profile_table(), WorkloadConfig())


@pytest.fixture
def scenario(table: WorkloadTable) -> Scenario:
    return draw_scenario(np.random.default_rng(17), EnvConfig(), table, lanes=50)


@pytest.fixture
def quick_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training with few validation and tuning episodes."""
    import agents.thresholds
    import agents.training
    import agents.training_watch

    monkeypatch.setattr(agents.training_watch, "CHECKS", 2)
    monkeypatch.setattr(agents.training_watch, "VALIDATION_LANES", 128)
    monkeypatch.setattr(agents.training, "TUNING_LANES", 32)
    few = partial(agents.thresholds.tune_thresholds, grid=3)
    monkeypatch.setattr(agents.thresholds, "tune_thresholds", few)


@pytest.fixture
def bundle() -> PolicyBundle:
    """A network of random weights."""
    rng = np.random.default_rng(0)
    widths = (N_FEATURES, 16, 8, 2)
    layers = tuple(
        (
            rng.standard_normal((out, inp)).astype(np.float32),
            rng.standard_normal(out).astype(np.float32),
        )
        for inp, out in pairwise(widths)
    )
    rule = {"name": "threshold-rtt", "max_rtt_s": 0.1, "min_uplink_bps": 0.0, "sees_truth": False}
    return PolicyBundle("ppo", Objective.ENERGY, "tanh", layers, (rule,), {"seed": 3})
