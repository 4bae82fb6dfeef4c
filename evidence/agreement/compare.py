"""Predicted against measured over one or several live runs: the numbers, and whether they do."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from agents.scores import Interval
from envs.scenario import Scenario
from envs.streams import Purpose, stream
from evidence.agreement.errors import GOAL_ACCURACY_GAP, Errors, errors_of, luck
from evidence.agreement.predictions import COMPONENTS, WAYS, Component, Predicted, predict
from evidence.agreement.stored import StoredRun
from evidence.agreement.worlds import WORLDS, accuracy_gaps, agreeing, draw_worlds
from offload.cost_model import transfer
from offload.errors import ConfigError
from offload.tasks.profile_table import ProfileTable
from offload.types import LinkState

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often a policy's choices agree with maui-true, live and in the simulated worlds.

    Attributes:
        live, simulated: shares.
        gap: simulated less live, with its 95 % interval.
    """

    live: float
    simulated: float
    gap: Interval

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the interval as [value, low, high]."""
        return {**asdict(self), "gap": self.gap.as_list()}


@dataclass(frozen=True, slots=True)
class Agreement:
    """What comes of comparing.

    Attributes:
        rows: every prediction beside its measurement.
        errors: by way of predicting (``set/own`` ...) and component, over all pairs.
        by_profile, by_task: the same of each profile and task.
        luck: median and p90 error of ``set/table`` that the simulator itself expects, by component.
        given_up: remote runs that were not back within their budget.
        foreseen: of these, the share that ``set/own`` has beyond the budget.
        accuracy: by policy.
        runs: names of the folders.
    """

    rows: tuple[Predicted, ...]
    errors: dict[str, dict[str, Errors]]
    by_profile: dict[str, dict[str, dict[str, Errors]]]
    by_task: dict[str, dict[str, dict[str, Errors]]]
    luck: dict[str, tuple[float, float]]
    given_up: int
    foreseen: float | None
    accuracy: dict[str, Accuracy]
    runs: tuple[str, ...]

    @property
    def missed(self) -> tuple[str, ...]:
        """Where the goal is missed, a sentence each."""
        said = []
        for profile, ways in self.by_profile.items():
            total = ways["set/own"].get("total")
            if total is None or total.within_goal:
                continue
            parts = {
                name: found
                for name, found in ways["set/own"].items()
                if name != "total" and found.median_off_s > 0.0
            }
            worst = max(parts, key=lambda name: parts[name].median_off_s)
            said.append(
                f"{profile}: total off by {total.median:.0%} (median) and {total.p90:.0%} (p90); "
                f"most seconds in {worst}: {1e3 * parts[worst].median_off_s:.0f} ms of "
                f"{1e3 * parts[worst].median_measured_s:.0f} ms (medians)"
            )
        for name, found in self.accuracy.items():
            if abs(found.gap.value) > GOAL_ACCURACY_GAP:
                low, high = 100 * found.gap.low, 100 * found.gap.high
                said.append(
                    f"{name}: accuracy {found.simulated:.1%} simulated, {found.live:.1%} live; gap "
                    f"{100 * found.gap.value:+.1f} [{low:+.1f}, {high:+.1f}] points"
                )
        return tuple(said)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; docs/agreement.md documents it."""

        def told(found: dict[str, dict[str, Errors]]) -> dict[str, Any]:
            return {
                way: {component: errors.as_dict() for component, errors in parts.items()}
                for way, parts in found.items()
            }

        return {
            "schema": SCHEMA,
            "runs": list(self.runs),
            "pairs": len({(row.run, row.pair) for row in self.rows}),
            "errors": told(self.errors),
            "errors_the_simulator_expects": {
                name: {"median": median, "p90": p90} for name, (median, p90) in self.luck.items()
            },
            "by_profile": {name: told(found) for name, found in self.by_profile.items()},
            "by_task": {name: told(found) for name, found in self.by_task.items()},
            "given_up": self.given_up,
            "given_up_foreseen": self.foreseen,
            "accuracy": {name: found.as_dict() for name, found in self.accuracy.items()},
            "missed": list(self.missed),
        }


def compare(runs: Sequence[StoredRun], table: ProfileTable, seed: int = 0) -> Agreement:
    """Compare what the models predict with what was measured; several runs are pooled.

    Args:
        table: which spread each task has in the simulator, where a run has no calibration.
        seed: of the simulated worlds and of the bootstrap.

    Raises:
        ConfigError: no run, or two of different objectives; a task that the table does not hold.
    """
    if not runs:
        raise ConfigError("no live run to compare")
    objectives = {str(run.objective) for run in runs}
    if len(objectives) > 1:
        raise ConfigError(
            f"runs of different objectives ({', '.join(sorted(objectives))}) have no common "
            "accuracy: give those of one"
        )
    rows = tuple(row for run in runs for row in predict(run))
    rng = stream(Purpose.TEST, seed)
    worlds = [draw_worlds(run, table, rng, WORLDS) for run in runs]
    gaps = accuracy_gaps(
        [agreeing(run, drawn) for run, drawn in zip(runs, worlds, strict=True)],
        stream(Purpose.RESAMPLE, seed),
    )
    late = [row for row in rows if row.given_up and (row.link, row.hard) == ("set", "own")]
    return Agreement(
        rows=rows,
        errors=_errors(rows),
        by_profile=_grouped(rows, lambda row: row.profile),
        by_task=_grouped(rows, lambda row: row.task),
        luck=_luck(runs, worlds),
        given_up=len(late),
        foreseen=float(np.mean([row.predicted_s > row.measured_s for row in late]))
        if late
        else None,
        accuracy={name: Accuracy(*found) for name, found in gaps.items()},
        runs=tuple(run.name for run in runs),
    )


def _grouped(
    rows: Sequence[Predicted], key: Callable[[Predicted], str]
) -> dict[str, dict[str, dict[str, Errors]]]:
    groups: dict[str, list[Predicted]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return {name: _errors(groups[name]) for name in sorted(groups)}


def _errors(rows: Sequence[Predicted]) -> dict[str, dict[str, Errors]]:
    """By way and component; a component of which nothing was measured is not there."""
    known: dict[Hashable, list[Predicted]] = {}
    for row in rows:
        if not row.given_up and row.measured_s > 0.0:
            known.setdefault((row.link, row.hard, row.component), []).append(row)
    return {
        f"{link}/{hard}": {
            component: errors_of(
                [row.predicted_s for row in mine], [row.measured_s for row in mine]
            )
            for component in COMPONENTS
            if (mine := known.get((link, hard, component)))
        }
        for link, hard in WAYS
    }


def _luck(runs: Sequence[StoredRun], worlds: Sequence[Scenario]) -> dict[str, tuple[float, float]]:
    """How far the simulator's draws are from its predictions, over the pairs that came back."""
    columns: dict[Component, list[tuple[Any, Any]]] = {}
    for run, drawn in zip(runs, worlds, strict=True):
        back = np.array([pair.edge is not None for pair in run.pairs])
        believed, true = drawn.work.predicted, drawn.work.true
        link = LinkState(
            **{
                name: np.array([[float(getattr(state, name))] for state in run.set_links])
                for name in LinkState.__slots__
            }
        )
        moved = run.transfers.applied(transfer(link, believed, run.congestion_control))
        sums = (
            moved.upload_s + drawn.edge.queue_s + believed.edge_s + moved.download_s,
            drawn.true_moved.upload_s
            + drawn.edge.queue_s
            + true.edge_s
            + drawn.true_moved.download_s,
        )
        parts: dict[Component, tuple[Any, Any]] = {
            "upload": (moved.upload_s, drawn.true_moved.upload_s),
            "compute": (believed.edge_s, true.edge_s),
            "download": (moved.download_s, drawn.true_moved.download_s),
            "total": sums,
        }
        columns.setdefault("local", []).append((believed.local_s, true.local_s))
        for name, (predicted, happened) in parts.items():
            if back.any():
                columns.setdefault(name, []).append((predicted[back], happened[back]))
    return {
        name: luck(*(np.concatenate(side) for side in zip(*found, strict=True)))
        for name, found in columns.items()
    }
