"""The measured tasks once more, in the simulator: same tasks, same links, other luck.

Each world is what the simulator would have made of a live run: the link as set, with the spread of
transfers it draws; each task as hard as the profile table says, with the table's spread. What the
device believed and what the policies chose is taken from the live run.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from agents.paired import PAUSE_S, scenario_of
from agents.rollout import roll_out
from agents.scores import Interval, bootstrap_counts, mean_interval
from agents.simulation import ORACLE
from envs.config import EnvConfig
from envs.scenario import Scenario
from envs.workload import SIDE_SPREAD
from evidence.agreement.stored import Choices, StoredRun
from offload.cost_model import transfer
from offload.errors import ConfigError
from offload.tasks.profile_table import ProfileTable
from offload.transfer_spread import transfer_factor
from offload.types import DecisionContext, FloatArray, IntArray, LinkState, TaskProfile, Transfer

WORLDS = 200


def draw_worlds(
    run: StoredRun, table: ProfileTable, rng: Generator, worlds: int = WORLDS
) -> Scenario:
    """The run's tasks in that many simulated worlds: a scenario of shape (pairs, worlds).

    Raises:
        ConfigError: the table does not hold one of the tasks, so nothing is known of its spread.
    """
    live = scenario_of(run.pairs, run.radio, run.congestion_control, rng)
    base = live.take(np.zeros(worlds, dtype=np.int64))
    shape = (len(run.pairs), worlds)
    believed = base.work.predicted
    spread = _spread(run, table if run.calibration is None else run.calibration.table)
    shared = spread * rng.standard_normal(shape)
    true = TaskProfile(
        local_s=believed.local_s * np.exp(shared + SIDE_SPREAD * rng.standard_normal(shape)),
        edge_s=believed.edge_s * np.exp(shared + SIDE_SPREAD * rng.standard_normal(shape)),
        input_bytes=believed.input_bytes,
        output_bytes=believed.output_bytes,
        deadline_s=believed.deadline_s,
    )
    link = LinkState(
        **{
            name: np.tile(
                np.array([[float(getattr(state, name))] for state in run.set_links]), (1, worlds)
            )
            for name in LinkState.__slots__
        }
    )
    exact = run.transfers.applied(transfer(link, believed, run.congestion_control))
    up, down = (
        transfer_factor(rng.random(shape), link.loss, run.congestion_control)
        ** run.transfers.spread
        for _ in range(2)
    )
    n_bytes = believed.input_bytes + believed.output_bytes
    seen_s = np.array([[float(pair.edge_seen.queue_s)] for pair in run.pairs])
    queue_s = seen_s + run.server.seconds(n_bytes)
    moved = Transfer(exact.upload_s * up, exact.download_s * down)
    edge_s = moved.upload_s + queue_s + true.edge_s + moved.download_s
    budget_s = np.array([[pair.budget_s] for pair in run.pairs])
    back_s = np.where(edge_s > budget_s, budget_s + true.local_s, edge_s)
    gap_s = np.zeros(shape)
    gap_s[1:] = np.maximum(true.local_s, back_s)[:-1]
    gap_s[1:] += rng.exponential(PAUSE_S, (shape[0] - 1, 1))
    return replace(
        base,
        work=replace(base.work, true=true, gap_s=gap_s),
        edge=replace(base.edge, queue_s=queue_s),
        true_moved=moved,
    )


def _spread(run: StoredRun, table: ProfileTable) -> FloatArray:
    """Standard deviation of ln(seconds) of each pair's task, shape (pairs, 1)."""
    known = {(row.kind, row.size): (row.local_spread + row.edge_spread) / 2 for row in table.rows}
    for pair in run.pairs:
        if (pair.task.kind, pair.task.size) not in known:
            raise ConfigError(
                f"{run.name}: the profile table holds no {pair.task.kind}/{pair.task.size}; "
                "measure it: python -m offload.tasks.profile"
            )
    return np.array([[known[pair.task.kind, pair.task.size]] for pair in run.pairs])


class _Chosen:
    """A policy that chooses what was chosen in the live run."""

    sees_truth = False

    def __init__(self, name: str, choices: Choices) -> None:
        self.name = name
        self._placements = iter(choices.placement)

    def decide(self, context: DecisionContext) -> IntArray:
        """See :class:`offload.interfaces.Policy`."""
        return np.full(np.shape(context.task.local_s), next(self._placements), dtype=np.int8)


def agreeing(run: StoredRun, worlds: Scenario) -> dict[str, tuple[FloatArray, FloatArray]]:
    """How often each policy's choices agree with maui-true, live and in the simulated worlds.

    Returns:
        By policy, two arrays of shape (pairs,): live 0 or 1; simulated the share of worlds. Of
        maui-true nothing: it agrees with itself.
    """
    config = EnvConfig(objective=run.objective, congestion_control=run.congestion_control)
    found = {}
    for name, choices in run.choices.items():
        if name == ORACLE:
            continue
        played = roll_out(_Chosen(name, choices), worlds, config)
        live = np.array(choices.placement) == np.array(choices.optimum)
        found[name] = (
            live.astype(float),
            (played.placement == played.optimum).mean(axis=1).astype(float),
        )
    return found


def accuracy_gaps(
    by_run: list[dict[str, tuple[FloatArray, FloatArray]]], rng: Generator
) -> dict[str, tuple[float, float, Interval]]:
    """Decision accuracy of each policy that all runs have: live, simulated, and the gap.

    Args:
        by_run: of :func:`agreeing`; the pairs of all runs are pooled.

    Returns:
        By policy: share right live, share right simulated, and simulated less live with its 95 %
        bootstrap interval over pairs (resampled within runs).
    """
    strata = np.repeat(
        np.arange(len(by_run)), [len(next(iter(r.values()))[0]) if r else 0 for r in by_run]
    )
    names = [name for name in by_run[0] if all(name in other for other in by_run)]
    if not names:
        return {}
    counts = bootstrap_counts(strata, rng)
    gaps = {}
    for name in names:
        live = np.concatenate([run[name][0] for run in by_run])
        simulated = np.concatenate([run[name][1] for run in by_run])
        gap = mean_interval(simulated - live, counts)
        gaps[name] = (float(live.mean()), float(simulated.mean()), gap)
    return gaps
