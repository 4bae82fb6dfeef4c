"""Scores policies in simulation: the same scenarios for every one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from agents.comparison import Comparison, Optimum, compare, find_optimum
from agents.rollout import Rollout, roll_out
from agents.scores import LinkScore, Score, bootstrap_counts, score, score_link
from agents.seed_scores import pool
from envs.config import EnvConfig
from envs.links import link_names
from envs.scenario import Scenario, draw_scenario
from envs.streams import Purpose, stream
from envs.workload import WorkloadTable
from offload.interfaces import Policy
from offload.tasks.profile_table import ProfileTable
from offload.types import FloatArray, IntArray

ORACLE = "maui-true"

T = TypeVar("T")


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
        seeds: of an algorithm that was trained several times, each seed's score by itself, by the
            algorithm, then by the seed's name in ``rollouts``; ``scores`` holds their mean.
    """

    scores: dict[str, Score]
    rollouts: dict[str, Rollout]
    decisions: int
    links: dict[str, dict[str, LinkScore]] = field(default_factory=dict)
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    optimum: Optimum | None = None
    seeds: dict[str, dict[str, Score]] = field(default_factory=dict)


def score_all(
    rollouts: dict[str, Rollout],
    strata: IntArray,
    seed: int,
    links: Sequence[str] = (),
    optimum: Optimum | None = None,
    seeds: Mapping[str, Sequence[str]] | None = None,
) -> Evaluation:
    """Score rollouts of the same scenarios, resampled alike; ``maui-true`` must be among them.

    Args:
        strata: the link of each scenario, shape (scenarios,); resamples are drawn within links.
        links: names of the links, to score each by itself too.
        optimum: the optimum in hindsight of some of the scenarios.
        seeds: names of rollouts that are seeds of one algorithm, by its name: they are scored
            together, in the place of the first of them.
    """
    rng = stream(Purpose.RESAMPLE, seed)
    counts = bootstrap_counts(strata, rng)
    oracle = rollouts[ORACLE]
    alone = {name: score(played, oracle, counts) for name, played in rollouts.items()}
    scores = alone
    comparisons = compare(rollouts, counts, optimum)
    members = _by_link(strata, links)
    by_link = {
        link: {name: score_link(each, oracle, own, counts) for name, each in rollouts.items()}
        for link, own in members.items()
    }
    for name, parts in (seeds or {}).items():
        together = pool(name, parts, rollouts, counts, optimum, ORACLE, rng)
        scores = _in_place_of(parts, name, together.score(name, ORACLE), scores)
        comparisons = _in_place_of(parts, name, together.compare(name), comparisons)
        by_link = {
            link: _in_place_of(parts, name, together.score_link(name, ORACLE, members[link]), found)
            for link, found in by_link.items()
        }
    return Evaluation(
        scores=scores,
        rollouts=rollouts,
        decisions=int(oracle.cost.size),
        links=by_link,
        comparisons=comparisons,
        optimum=optimum,
        seeds={
            name: {part: alone[part] for part in parts} for name, parts in (seeds or {}).items()
        },
    )


def _by_link(strata: IntArray, links: Sequence[str]) -> dict[str, IntArray]:
    """The scenarios of each of several links that has any."""
    if len(links) < 2:
        return {}
    members = {link: np.flatnonzero(strata == index) for index, link in enumerate(links)}
    return {link: own for link, own in members.items() if len(own)}


def _in_place_of(parts: Sequence[str], name: str, value: T, found: Mapping[str, T]) -> dict[str, T]:
    """The entries with those of ``parts`` replaced by one, where the first of them stood."""
    kept = {}
    for key, entry in found.items():
        if key not in parts:
            kept[key] = entry
        elif key == parts[0]:
            kept[name] = value
    return kept


def simulate(
    policies: Sequence[Policy],
    config: EnvConfig,
    table: ProfileTable,
    decisions: int,
    seed: int,
    hindsight: int = 0,
    seeds: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Evaluation, Scenario, WorkloadTable]:
    """Play every policy through the same test scenarios.

    Args:
        decisions: at least so many a policy; whole episodes are played. Traces get equally many
            episodes, two or more each, so with many traces it may be more.
        seed: of the test scenarios. Training, tuning and validation use other streams.
        hindsight: scenarios of each link to find the optimum in hindsight of; 0: none.
        seeds: names of policies that are seeds of one algorithm, by its name.
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
    return score_all(rollouts, strata, seed, names, optimum, seeds), scenario, rows


def scenario_facts(
    scenario: Scenario, names: Sequence[str], labels: Sequence[str]
) -> dict[str, Sequence[Any] | FloatArray]:
    """Columns of decisions.csv that all policies share, by scenario, then by step.

    Args:
        names: what ``scenario.links.profile`` counts.
        labels: what ``scenario.work.row`` counts.
    """
    steps, lanes = scenario.steps, scenario.lanes
    return {
        "scenario": [lane for lane in range(lanes) for _ in range(steps)],
        "step": list(range(steps)) * lanes,
        "link": [names[int(index)] for index in scenario.links.profile for _ in range(steps)],
        "task": [labels[int(index)] for index in scenario.work.row.T.ravel()],
        **{
            name: getattr(scenario.links.measured, name).T.ravel()
            for name in ("rtt_s", "jitter_s", "loss", "uplink_bps", "downlink_bps", "age_s")
        },
    }
