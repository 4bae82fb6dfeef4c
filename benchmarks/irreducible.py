"""How near to maui-true any policy can come: ``python benchmarks/irreducible.py``.

maui-true knows how long this very transfer and this very task will take. Nobody else can: these are
drawn anew for each task, whatever was measured before. So of every decision on the way of a policy
they are redrawn many times, and all else is given away: the link and the edge as they really are,
the bytes, and what the link will do during the transfer. Who knew all that and chose the likelier
optimum would be right as often as the bound says; a device, whose estimates are old and noisy, less
often. The same for cost: its bound is the cost of the choice that is cheaper on average.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:
    from numpy.random import Generator

    from envs.config import EnvConfig
    from envs.workload import WorkloadTable
    from offload.types import DecisionContext, FloatArray, IntArray, Transfer


@dataclass(frozen=True)
class Options:
    """Bound the accuracy and the cost of every policy that cannot see the future."""

    profile: str | None = None
    """One profile; all by default."""
    traces: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Instead: the measured links of this folder."""
    episodes: int = 1000
    """Episodes, of 64 decisions each, on the way of maui-measured."""
    redraws: int = 200
    """Redraws of each decision's task and transfers."""
    seed: int = 0
    """Of everything drawn."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What was found at one step; arrays of shape (lanes,).

    Attributes:
        likelier: share of redraws in which the likelier placement is the optimum, chosen by one
            half of the redraws and counted in the other.
        best_cost: mean cost of the placement that is cheaper on average, halves as above.
        true_cost: mean cost of maui-true's choice, which differs from redraw to redraw.
        measured, measured_cost: the same two of maui-measured's choice.
    """

    likelier: FloatArray
    best_cost: FloatArray
    true_cost: FloatArray
    measured: FloatArray
    measured_cost: FloatArray


def decisions(config: EnvConfig, table: WorkloadTable, options: Options) -> Iterator[Decided]:
    """Redraw every decision of maui-measured's way through a block of scenarios."""
    from envs.dynamics import OffloadDynamics
    from envs.scenario import draw_scenario
    from offload.cost_model import choice_costs, edge_budget_s
    from offload.oracle import maui_placement
    from offload.types import Transfer

    rng = np.random.default_rng(options.seed)
    exact_links = replace(config.link, transfer_spread=0.0)
    exact = draw_scenario(rng, replace(config, link=exact_links), table, options.episodes)
    drawn = _transfers(rng, exact.true_moved, exact.links.true.loss, config)
    dynamics = OffloadDynamics(replace(exact, true_moved=drawn), config)
    while not dynamics.done:
        step = dynamics.step_index
        spread = table.seconds_spread[exact.work.row[step]]
        measured, true = dynamics.measured_context(), dynamics.true_context()
        budget_s, chosen = edge_budget_s(measured), maui_placement(measured, config.objective)
        by_model = Transfer(exact.true_moved.upload_s[step], exact.true_moved.download_s[step])
        optima, costs = [], []
        for _ in range(options.redraws):
            moved = _transfers(rng, by_model, exact.links.true.loss[step], config)
            context = _redrawn(rng, replace(true, moved=moved), measured, spread)
            found = choice_costs(context, config.objective, budget_s=budget_s)
            optima.append(maui_placement(context, config.objective))
            costs.append(np.minimum([found.local_objective, found.edge_objective], config.cost_cap))
        yield _decided(np.array(optima, dtype=float), np.array(costs), chosen)
        dynamics.step(chosen)


def _transfers(rng: Generator, exact: Transfer, loss: FloatArray, config: EnvConfig) -> Transfer:
    """The seconds that transfers come to which would take ``exact`` by the model."""
    from offload.transfer_spread import transfer_factor
    from offload.types import Transfer

    up, down = (
        transfer_factor(rng.random(loss.shape), loss, config.congestion_control)
        ** config.link.transfer_spread
        for _ in range(2)
    )
    return Transfer(exact.upload_s * up, exact.download_s * down)


def _redrawn(
    rng: Generator, true: DecisionContext, believed: DecisionContext, spread: FloatArray
) -> DecisionContext:
    """The context with the task's seconds drawn anew, as :mod:`envs.workload` draws them."""
    from envs.workload import SIDE_SPREAD

    shared = spread * rng.standard_normal(spread.shape)
    local_s, edge_s = (
        predicted * np.exp(shared + SIDE_SPREAD * rng.standard_normal(spread.shape))
        for predicted in (believed.task.local_s, believed.task.edge_s)
    )
    return replace(
        true,
        task=replace(true.task, local_s=local_s, edge_s=edge_s),
        reference_s=true.reference_s + local_s - true.task.local_s,
        reference_j=true.device.cpu_w * local_s,
    )


def _decided(optima: FloatArray, costs: FloatArray, chosen: IntArray) -> Decided:
    """Of redraws' optima, shape (redraws, lanes), and costs (redraws, 2, lanes)."""
    lanes = np.arange(optima.shape[1])
    half = len(optima) // 2
    right, cheap = [], []
    for learn, count in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        likely = optima[learn].mean(axis=0) > 0.5
        right.append((optima[count] == likely).mean(axis=0))
        cheaper = costs[learn].mean(axis=0).argmin(axis=0)
        cheap.append(costs[count].mean(axis=0)[cheaper, lanes])
    true_cost = np.where(optima == 1, costs[:, 1], costs[:, 0]).mean(axis=0)
    return Decided(
        likelier=np.mean(right, axis=0),
        best_cost=np.mean(cheap, axis=0),
        true_cost=true_cost,
        measured=(optima == chosen).mean(axis=0),
        measured_cost=costs.mean(axis=0)[chosen.astype(int), lanes],
    )


def main(options: Options) -> None:
    """Print the bounds beside maui-measured's figures, with intervals over episodes."""
    from agents.chosen_links import choose_links
    from agents.scores import bootstrap_counts, mean_interval
    from envs.config import EnvConfig
    from envs.workload import WorkloadTable
    from offload.tasks.profile_table import load_profile_table

    links = choose_links(
        options.profile or (None if options.traces else "all"), None, options.traces, "lte"
    )
    config = EnvConfig(traces=links.trace_files)
    if links.profiles:
        config = replace(config, profiles=links.profiles)
    table = WorkloadTable.of(load_profile_table(), config.workload)
    found = list(decisions(config, table, options))
    counts = bootstrap_counts(
        np.zeros(options.episodes, dtype=np.int64), np.random.default_rng(options.seed)
    )

    def line(name: str, values: FloatArray, scale: float) -> None:
        one = mean_interval(values.mean(axis=0), counts)
        print(f"{name}: {scale * one.value:.2f} [{scale * one.low:.2f}, {scale * one.high:.2f}]")

    print(
        f"{links.label}: {options.episodes * len(found):,} decisions, {options.redraws} redraws "
        "each, 95 % intervals over episodes"
    )
    line("accuracy %, bound", np.array([each.likelier for each in found]), 100)
    line("accuracy %, maui-measured", np.array([each.measured for each in found]), 100)
    true = np.array([each.true_cost for each in found])
    line("cost above maui-true's x 1000, bound", np.array([e.best_cost for e in found]) - true, 1e3)
    line(
        "cost above maui-true's x 1000, maui-measured",
        np.array([each.measured_cost for each in found]) - true,
        1e3,
    )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
