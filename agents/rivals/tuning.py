"""Tunes the rules on training scenarios: least mean cost, every candidate played through."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import TypeVar

import numpy as np
from numpy.random import Generator

from agents.rivals import DECISIONS
from agents.rivals.rules import Correction, Rule, TimeThreshold, TunedMaui
from agents.rollout import roll_out
from envs.config import EnvConfig
from envs.scenario import Scenario, draw_scenario
from envs.workload import WorkloadTable
from offload.interfaces import Policy

LANES = 256
"""Training episodes that each candidate plays; of rules with many numbers, twice as many."""

_RuleT = TypeVar("_RuleT", TimeThreshold, TunedMaui)


def mean_cost(policy: Policy, scenario: Scenario, config: EnvConfig) -> float:
    """What a policy's decisions cost on average."""
    return float(roll_out(policy, scenario, config).cost.mean())


def _best(rules: Iterable[_RuleT], scenario: Scenario, config: EnvConfig) -> _RuleT:
    return min(rules, key=lambda rule: mean_cost(rule, scenario, config))


def tune_rules(
    rng: Generator,
    config: EnvConfig,
    table: WorkloadTable,
    validation: Scenario,
    decisions: int = DECISIONS,
) -> list[Rule]:
    """Tune both rules, each on so many decisions."""
    scenario = draw_scenario(rng, config, table, 2 * LANES)
    part = scenario.take(np.arange(LANES))
    candidates = max(decisions // (LANES * scenario.steps), 6)
    tuned = tune_maui(rng, scenario, config, candidates // 2)
    plain = TunedMaui(config.objective, Correction())
    return [
        tune_time_threshold(part, config, candidates),
        # Six numbers can fit chance; where unseen episodes say so, nothing is corrected.
        _best([plain, tuned], validation, config),
    ]


def tune_time_threshold(scenario: Scenario, config: EnvConfig, candidates: int) -> TimeThreshold:
    """The best of a grid: factors from 1/20 to 20 times margins from none to 30 s, and never."""
    each = max(int(math.sqrt(candidates - 1)), 2)
    factors = np.geomspace(0.05, 20.0, each)
    margins = [0.0, *np.geomspace(0.01, 30.0, each - 1)]
    grid = [TimeThreshold(float(f), float(m)) for f in factors for m in margins]
    return _best([*grid, TimeThreshold(1.0, math.inf)], scenario, config)


def tune_maui(rng: Generator, scenario: Scenario, config: EnvConfig, candidates: int) -> TunedMaui:
    """Random search: a third of the candidates anywhere, the others ever closer to the best.

    The first candidate corrects nothing, so on the scenario tuned on the result is never worse than
    maui-measured.
    """
    link = scenario.links.measured
    middle = Correction(
        rate_memory_s=30.0,
        uplink_bps=float(np.exp(np.log(link.uplink_bps).mean())),
        downlink_bps=float(np.exp(np.log(link.downlink_bps).mean())),
        queue_memory_s=10.0,
        queue_s=float(scenario.edge.probed_queue_s.mean()),
        stretch=1.1,
    )
    best = TunedMaui(config.objective, Correction())
    least = mean_cost(best, scenario, config)
    anywhere = max(candidates // 3, 1)
    for index in range(1, candidates):
        if index <= anywhere or best.correction == Correction():
            correction = _partly(rng, _near(rng, middle, 1.0))
        else:
            narrowing = 0.1 ** ((index - anywhere) / (candidates - anywhere))
            correction = _near(rng, best.correction, 0.5 * narrowing)
        tried = TunedMaui(config.objective, correction)
        cost = mean_cost(tried, scenario, config)
        if cost < least:
            best, least = tried, cost
    return best


def _near(rng: Generator, centre: Correction, spread: float) -> Correction:
    """Each number a log-normal factor away; the stretch, which is near 1, less far."""
    factor = np.exp(spread * rng.standard_normal(6) * np.array([1.5, 1.5, 1.5, 1.5, 1.0, 0.3]))
    numbers = [getattr(centre, entry.name) for entry in fields(centre)]
    return Correction(*(float(number) for number in factor * numbers))


def _partly(rng: Generator, correction: Correction) -> Correction:
    """Each of the three things that can be corrected is left as it is half of the time."""
    rates, queue, stretch = rng.random(3) < 0.5
    return replace(
        correction,
        rate_memory_s=correction.rate_memory_s if rates else math.inf,
        queue_memory_s=correction.queue_memory_s if queue else math.inf,
        stretch=correction.stretch if stretch else 1.0,
    )
