"""Scores policies on paired live runs: each task was run on both sides, so both costs are measured.

The measured runs become one scenario, which every policy plays through the same dynamics as in
simulation. A task arrives a short pause after the one before would be done on either side: nothing
ever queues on the device, so the seconds are the measured ones, and what is carried over from task
to task is the radio's tail and the battery. The joules come from the energy model fed with the
measured seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator

from agents.rollout import Rollout, roll_out
from agents.simulation import Evaluation, score_all
from envs.calibration import models_of
from envs.config import EnvConfig
from envs.edge_process import EdgeSamples
from envs.link_process import LinkSamples
from envs.scenario import Scenario
from envs.workload import WorkloadSamples
from offload.cost_model import transfer
from offload.energy_model import RADIO_NAMES
from offload.interfaces import Policy
from offload.link_memory import histories
from offload.types import FloatArray, LinkState, PairedRun, TaskProfile, Transfer

_StateT = TypeVar("_StateT", LinkState, TaskProfile)

BATTERY = 0.8
PAUSE_S = 2.0
"""Mean of the (exponential) pause between a task's end and the next one's arrival."""
NEVER_BACK = 100.0
"""A remote run that was given up counts as taking so many budgets: beyond every bound."""


def _column(runs: Sequence[PairedRun], read: Callable[[PairedRun], float]) -> FloatArray:
    """One value a run, shape (runs, 1): so many steps of one lane."""
    return np.array([float(read(run)) for run in runs]).reshape(-1, 1)


def _columns(kind: type[_StateT], states: Sequence[_StateT]) -> _StateT:
    """Many states of single numbers as one of columns, shape (states, 1)."""
    return kind(
        **{f.name: np.array([[float(getattr(s, f.name))] for s in states]) for f in fields(kind)}
    )


def _upload_s(run: PairedRun) -> float:
    return NEVER_BACK * run.budget_s if run.edge is None else float(run.edge.upload_s)


def _moved_bytes(run: PairedRun) -> float:
    sent = float(run.predicted.input_bytes)
    if run.edge is None:
        sent = NEVER_BACK * min(sent, run.link.uplink_bps * run.budget_s / 8.0)
    return sent


def _done_on_either_side_s(run: PairedRun) -> float:
    """When the task is done whatever was chosen; a run given up is done again on the device."""
    local_s = float(run.local.seconds)
    if run.edge is None:
        return run.budget_s + local_s
    return max(local_s, float(run.edge.seconds))


def scenario_of(
    runs: Sequence[PairedRun], radio: str, congestion_control: str, rng: Generator
) -> Scenario:
    """The measured runs as a scenario of one lane, in the order they were run in.

    Args:
        radio: name of the device's radio.
        congestion_control: what the connection used, for the predictions of the link model.
        rng: draws the pauses.
    """
    predicted = _columns(TaskProfile, [run.predicted for run in runs])
    believed = _columns(LinkState, [run.link for run in runs])
    # A run given up took at least its budget; its share of compute is not known. The energy model
    # counts the part 1 / NEVER_BACK of it: what the uplink can have carried within the budget.
    true = TaskProfile(
        local_s=_column(runs, lambda run: run.local.compute_s),
        edge_s=_column(
            runs, lambda run: run.predicted.edge_s if run.edge is None else run.edge.compute_s
        ),
        input_bytes=_column(runs, _moved_bytes),
        output_bytes=predicted.output_bytes,
        deadline_s=predicted.deadline_s,
    )
    gap_s = np.zeros((len(runs), 1))
    gap_s[1:] = _column(runs[:-1], _done_on_either_side_s)
    gap_s[1:] += rng.exponential(PAUSE_S, (len(runs) - 1, 1))
    return Scenario(
        links=LinkSamples(
            true=believed,  # never read: the transfers below are measured
            measured=believed,
            profile=np.zeros(1, dtype=np.int64),
            radio=np.array([RADIO_NAMES.index(radio)]),
        ),
        edge=EdgeSamples(
            queue_s=_column(runs, lambda run: 0.0 if run.edge is None else run.edge.queue_s),
            probed_queue_s=_column(runs, lambda run: run.edge_seen.queue_s),
        ),
        work=WorkloadSamples(
            row=np.zeros((len(runs), 1), dtype=np.int64),
            gap_s=gap_s,
            true=true,
            predicted=predicted,
        ),
        true_moved=Transfer(
            upload_s=_column(runs, _upload_s),
            download_s=_column(runs, lambda run: 0.0 if run.edge is None else run.edge.download_s),
        ),
        predicted_moved=transfer(believed, predicted, congestion_control),
        history=histories(believed, _column(runs, lambda run: run.decided_s)),
        reference_queue_s=np.zeros((len(runs), 1)),
        battery=np.array([BATTERY]),
    )


def score_pairs(
    policies: Sequence[Policy],
    runs: Sequence[PairedRun],
    *,
    radio: str,
    config: EnvConfig,
    rng: Generator,
    seed: int,
    seeds: Mapping[str, Sequence[str]] | None = None,
) -> Evaluation:
    """Score every policy on the same measured instances; the bootstrap resamples instances.

    Args:
        runs: the paired runs, in the order they were run in.
        config: objective, cap, congestion control, and the calibration that the device has.
        rng: draws the pauses between tasks.
        seed: of the bootstrap.
        seeds: names of policies that are seeds of one algorithm, by its name.
    """
    scenario = scenario_of(runs, radio, config.congestion_control, rng)
    transfers, _ = models_of(config)
    scenario = replace(scenario, predicted_moved=transfers.applied(scenario.predicted_moved))
    rollouts = {}
    for policy in policies:
        played = roll_out(policy, scenario, config)
        rollouts[policy.name] = Rollout(
            **{f.name: getattr(played, f.name).T for f in fields(Rollout)}
        )
    strata = np.zeros(len(runs), dtype=np.int64)
    return score_all(rollouts, strata, seed, seeds=seeds)


def pair_facts(pairs: Sequence[PairedRun]) -> dict[str, Any]:
    """Columns of decisions.csv that all policies share; an edge run given up has empty seconds."""
    facts: dict[str, Any] = {
        "task": [f"{pair.task.kind}/{pair.task.size}" for pair in pairs],
        "task_seed": [pair.task.seed for pair in pairs],
        "correct": [int(pair.correct) for pair in pairs],
        "budget_s": [pair.budget_s for pair in pairs],
    }
    for name in ("rtt_s", "jitter_s", "loss", "uplink_bps", "downlink_bps", "age_s"):
        facts[name] = [getattr(pair.link, name) for pair in pairs]
    for name in ("local_s", "edge_s", "input_bytes", "output_bytes", "deadline_s"):
        facts[f"predicted_{name}"] = [getattr(pair.predicted, name) for pair in pairs]
    facts["edge_queue_seen_s"] = [pair.edge_seen.queue_s for pair in pairs]
    facts["local_measured_s"] = [pair.local.seconds for pair in pairs]
    for name in ("upload_s", "queue_s", "compute_s", "download_s", "seconds"):
        facts[f"edge_measured_{name}"] = [
            "" if pair.edge is None else f"{getattr(pair.edge, name):.6g}" for pair in pairs
        ]
    facts["edge_given_up_because"] = [pair.detail if pair.edge is None else "" for pair in pairs]
    return facts
