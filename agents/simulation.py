"""Scores policies in simulation: the same scenarios for every one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agents.comparison import Comparison, Optimum, compare, find_optimum
from agents.rollout import Rollout, roll_out
from agents.scores import LinkScore, Score, bootstrap_counts, score, score_link
from envs.config import EnvConfig
from envs.links import link_names
from envs.scenario import Scenario, draw_scenario
from envs.streams import Purpose, stream
from envs.workload import WorkloadTable
from offload.interfaces import Policy
from offload.tasks.profile_table import ProfileTable
from offload.types import FloatArray, IntArray

ORACLE = "maui-true"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of several policies on the same decisions.

    Attributes:
        scores: by policy name, in the order of the table.
        rollouts: what each did, arrays of shape (steps, scenarios).
        decisions: number of decisions each policy was scored on.
        links: each link's (profile's or trace's) own scores, by its name, then by policy; empty
            where there is one link.
        comparisons: each policy against others, by its name.
        optimum: the optimum in hindsight they were compared with; None: it was not searched for.
    """

    scores: dict[str, Score]
    rollouts: dict[str, Rollout]
    decisions: int
    links: dict[str, dict[str, LinkScore]] = field(default_factory=dict)
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    optimum: Optimum | None = None


def score_all(
    rollouts: dict[str, Rollout],
    strata: IntArray,
    seed: int,
    links: Sequence[str] = (),
    optimum: Optimum | None = None,
) -> Evaluation:
    """Score rollouts of the same scenarios, resampled alike; ``maui-true`` must be among them.

    Args:
        strata: the link of each scenario, shape (scenarios,); resamples are drawn within links.
        links: names of the links, to score each by itself too.
        optimum: the optimum in hindsight of some of the scenarios.
    """
    counts = bootstrap_counts(strata, stream(Purpose.RESAMPLE, seed))
    oracle = rollouts[ORACLE]
    return Evaluation(
        scores={name: score(played, oracle, counts) for name, played in rollouts.items()},
        rollouts=rollouts,
        decisions=int(oracle.cost.size),
        links=_by_link(rollouts, strata, counts, links) if len(links) > 1 else {},
        comparisons=compare(rollouts, counts, optimum),
        optimum=optimum,
    )


def _by_link(
    rollouts: dict[str, Rollout], strata: IntArray, counts: FloatArray, links: Sequence[str]
) -> dict[str, dict[str, LinkScore]]:
    oracle = rollouts[ORACLE]
    found = {}
    for index, link in enumerate(links):
        members = np.flatnonzero(strata == index)
        if len(members):
            found[link] = {
                name: score_link(played, oracle, members, counts)
                for name, played in rollouts.items()
            }
    return found


def simulate(
    policies: Sequence[Policy],
    config: EnvConfig,
    table: ProfileTable,
    decisions: int,
    seed: int,
    hindsight: int = 0,
) -> tuple[Evaluation, Scenario, WorkloadTable]:
    """Play every policy through the same test scenarios.

    Args:
        decisions: at least so many a policy; whole episodes are played. Traces get equally many
            episodes, two or more each, so with many traces it may be more.
        seed: of the test scenarios. Training, tuning and validation use other streams.
        hindsight: scenarios of each link to find the optimum in hindsight of; 0: none.
    """
    rows = WorkloadTable.of(table, config.workload)
    names = link_names(config)
    lanes = max(-(-decisions // config.episode_tasks), 2)
    if config.traces:
        lanes = len(names) * max(-(-lanes // len(names)), 2)
    scenario = draw_scenario(stream(Purpose.TEST, seed), config, rows, lanes)
    rollouts = {policy.name: roll_out(policy, scenario, config) for policy in policies}
    strata = scenario.links.profile
    rng = stream(Purpose.RESAMPLE, seed)
    optimum = find_optimum(scenario, config, rollouts[ORACLE], strata, hindsight, rng)
    return score_all(rollouts, strata, seed, names, optimum), scenario, rows
