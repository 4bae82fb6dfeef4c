"""Along the way of a policy: every decision is drawn anew many times."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.irreducible_bound.bounds import Bound, bound_of
from benchmarks.irreducible_bound.kept import KeptEdges, KeptLinks, KeptProfiles, KeptTraces
from benchmarks.irreducible_bound.redraws import Given, Redraw, last_known
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import draw_scenario
from envs.workload import WorkloadTable
from offload.cost_model import choice_costs, edge_budget_s
from offload.errors import ConfigError
from offload.interfaces import Policy
from offload.oracle import placement_at
from offload.types import DecisionContext, FloatArray, IntArray

GIVEN = (Given(link=True, edge=True), Given(link=True, edge=False), Given(link=False, edge=False))
"""From the loosest bound to the tightest."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What was found on the way of a policy.

    Attributes:
        bounds: of every step, by what was given away, the loosest first.
        right: whether the policy agreed with maui-true, as it came, shape (steps, lanes).
        link: index of each lane's link, shape (lanes,).
    """

    bounds: dict[Given, list[Bound]]
    right: FloatArray
    link: IntArray


def walk(
    policy: Policy, config: EnvConfig, table: WorkloadTable, episodes: int, redraws: int, seed: int
) -> Walk:
    """Play a policy through a block of scenarios and draw each of its decisions anew.

    Measured links have no process that they could be drawn from, so they are always given away as
    they are at the decision.

    Raises:
        ConfigError: the policy sees the truth, or a switch is off.
    """
    if policy.sees_truth:
        raise ConfigError(f"{policy.name} sees the truth, which no bound holds for; name another")
    if config.without:
        raise ConfigError(f"the bound is of the whole world, not without {config.without[0]}")
    links: KeptLinks = KeptTraces() if config.traces else KeptProfiles()
    edges = KeptEdges()
    scenario = draw_scenario(np.random.default_rng(seed), config, table, episodes, links, edges)
    versions = {
        given: Redraw(given, links, edges, config, seed)
        for given in GIVEN
        if given.link or not config.traces
    }
    dynamics = OffloadDynamics(scenario, config)
    bounds: dict[Given, list[Bound]] = {given: [] for given in versions}
    last_run, right = np.full(episodes, -1), []
    while not dynamics.done:
        step = dynamics.step_index
        believed, true = dynamics.measured_context(), dynamics.true_context()
        chosen = np.asarray(policy.decide(believed))
        known = last_known(links.probes, step, last_run)
        spread = table.seconds_spread[scenario.work.row[step]]
        for given, redraw in versions.items():
            optima, costs = [], []
            for _ in range(redraws):
                drawn = redraw.draw(step, known, _expected(true, believed), spread)
                optimum, cost = _placed(drawn, believed, config)
                optima.append(optimum)
                costs.append(cost)
            bounds[given].append(bound_of(np.array(optima, dtype=float), np.array(costs), chosen))
        right.append(dynamics.step(chosen).optimum == chosen)
        last_run = np.where(chosen == 1, step, last_run)
    return Walk(bounds, np.array(right, dtype=float), scenario.links.profile)


def _expected(true: DecisionContext, believed: DecisionContext) -> DecisionContext:
    """The truth, but for the seconds of the task, which are those that the device expects."""
    local_s, edge_s = believed.task.local_s, believed.task.edge_s
    return replace(
        true,
        task=replace(true.task, local_s=local_s, edge_s=edge_s),
        reference_s=true.reference_s + local_s - true.task.local_s,
    )


def _placed(
    true: DecisionContext, believed: DecisionContext, config: EnvConfig
) -> tuple[IntArray, FloatArray]:
    """maui-true's placement, shape (lanes,), and both placements' costs, shape (2, lanes)."""
    found = choice_costs(true, config.objective, budget_s=edge_budget_s(believed))
    costs = np.minimum([found.local_objective, found.edge_objective], config.cost_cap)
    return placement_at(found, edge_budget_s(true)), costs
