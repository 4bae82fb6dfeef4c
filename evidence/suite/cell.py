"""Measures one link of the suite."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.paired import pair_facts, score_pairs
from agents.policies import PolicySet
from agents.report import write_decisions
from envs.config import EnvConfig
from envs.streams import Purpose, stream
from evidence.suite.competition import Competition, compete
from evidence.suite.kpis import kpis_of
from evidence.suite.plan import Amount, Cell
from netem.baseline import PAUSE_S, void_reason
from offload.errors import VoidRun
from offload.tasks.profile_table import ProfileTable
from offload.types import Objective
from testbed import Testbed, TestbedConfig
from testbed.live_run import LiveRun, run_live


@dataclass(frozen=True)
class Conditions:
    """What holds for every link of the suite.

    Attributes:
        chosen: makes the policies that are scored; afresh for each link, for some remember.
        table: which tasks there are.
    """

    amount: Amount
    objective: Objective
    backend: str
    congestion_control: str
    seed: int
    chosen: Callable[[], PolicySet]
    table: ProfileTable


def measure_cell(
    cell: Cell, under: Conditions, decisions: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure a link, a second time where the machine was too busy, and then give it up as void.

    Args:
        decisions: file for a line a task.
        say: takes a line on what is being done.

    Returns:
        For JSON: ``link``, ``void`` (why it does not count, else empty), ``kpis``, ``notes``,
        ``details``, ``took_s``.

    Raises:
        BackendError, TestbedError: no link can be opened here, or a part failed.
    """
    began_s = time.monotonic()
    void = ""
    for tries_left in (1, 0):
        try:
            return {**_measured(cell, under, decisions, say), "took_s": time.monotonic() - began_s}
        except VoidRun as error:
            void = str(error)
        if tries_left:
            say(f"{cell.name}: {void}. Once more in {PAUSE_S:g} s")
            time.sleep(PAUSE_S)
    say(f"{cell.name}: {void}")
    took_s = time.monotonic() - began_s
    return {
        "link": cell.name,
        "void": void,
        "kpis": [],
        "notes": [],
        "details": {},
        "took_s": took_s,
    }


def _measured(
    cell: Cell, under: Conditions, decisions: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """One try.

    Raises:
        VoidRun: the machine was too busy before or after.
    """
    config = EnvConfig(objective=under.objective, congestion_control=under.congestion_control)
    rng = stream(Purpose.TEST, under.seed)
    competition: Competition | None = None

    def measure_competition(testbed: Testbed) -> None:
        nonlocal competition
        competition = compete(testbed, under.amount.rounds, under.amount.phase_s)

    run: LiveRun = run_live(
        cell.profile,
        TestbedConfig(
            backend=under.backend,
            slowdown=under.table.slowdown,
            congestion_control=under.congestion_control,
        ),
        cell.trace,
        under.table,
        tasks=under.amount.tasks,
        max_local_s=under.amount.max_local_s,
        deadline_slack=(config.workload.deadline_slack_low, config.workload.deadline_slack_high),
        rng=rng,
        say=say,
        then=measure_competition if cell.competes else None,
    )
    if run.closing.faults:
        raise VoidRun(void_reason(run.closing))
    chosen = under.chosen()
    evaluation = score_pairs(
        chosen.policies,
        run.pairs,
        radio=cell.profile.radio,
        config=config,
        rng=rng,
        seed=under.seed,
        seeds=chosen.seeds,
    )
    write_decisions(decisions, pair_facts(run.pairs), evaluation)
    draws = stream(Purpose.RESAMPLE, under.seed)
    rows = kpis_of(cell, run.pairs, evaluation, competition, draws)
    given_up = 0 if competition is None else competition.given_up
    return {
        "link": cell.name,
        "void": "",
        "kpis": [row.as_dict() for row in rows],
        "notes": [*run.notes, *run.replay_notes],
        "details": {**run.details, "backend": run.backend, "competition_given_up": given_up},
    }
