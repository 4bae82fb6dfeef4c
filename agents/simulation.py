"""Scores policies in simulation: the same scenarios for every one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.rollout import Rollout, roll_out
from agents.scores import Score, bootstrap_counts, score
from envs.config import EnvConfig
from envs.scenario import Scenario, draw_scenario
from envs.streams import Purpose, stream
from envs.workload import WorkloadTable
from offload.interfaces import Policy
from offload.tasks.profile_table import ProfileTable
from offload.types import IntArray

ORACLE = "maui-true"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of several policies on the same decisions.

    Attributes:
        scores: by policy name, in the order of the table.
        rollouts: what each did, arrays of shape (steps, scenarios).
        decisions: number of decisions each policy was scored on.
    """

    scores: dict[str, Score]
    rollouts: dict[str, Rollout]
    decisions: int


def score_all(rollouts: dict[str, Rollout], strata: IntArray, seed: int) -> Evaluation:
    """Score rollouts of the same scenarios, resampled alike; ``maui-true`` must be among them."""
    counts = bootstrap_counts(strata, stream(Purpose.RESAMPLE, seed))
    oracle = rollouts[ORACLE]
    return Evaluation(
        scores={name: score(played, oracle, counts) for name, played in rollouts.items()},
        rollouts=rollouts,
        decisions=int(oracle.cost.size),
    )


def simulate(
    policies: Sequence[Policy], config: EnvConfig, table: ProfileTable, decisions: int, seed: int
) -> tuple[Evaluation, Scenario, WorkloadTable]:
    """Play every policy through the same test scenarios.

    Args:
        decisions: at least so many a policy; whole episodes are played.
        seed: of the test scenarios. Training, tuning and validation use other streams.
    """
    rows = WorkloadTable.of(table, config.workload)
    lanes = max(-(-decisions // config.episode_tasks), 2)
    scenario = draw_scenario(stream(Purpose.TEST, seed), config, rows, lanes)
    rollouts = {policy.name: roll_out(policy, scenario, config) for policy in policies}
    return score_all(rollouts, scenario.links.profile, seed), scenario, rows
