"""What a study has found: in words, as files, and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.run_directory import write_json
from agents.tuning_space import SPACE, defaults, settings

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

SUMMARY_NAME = "summary.json"
BEST_NAME = "best.json"
PICTURE_NAME = "study.png"
_ENOUGH = 4
"""Trials trained to their end below which importances say nothing."""


def summarise_study(study: Study, algo: str) -> dict[str, Any]:
    """Best and default values and costs, importances, trials by what came of them.

    ``best`` is None as long as no trial has been trained to its end.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    counts = {state.name.lower(): sum(t.state is state for t in trials) for state in TrialState}
    usual = defaults(algo)
    summary: dict[str, Any] = {
        "algo": algo,
        "trials": {name: count for name, count in counts.items() if count},
        "best": None,
        "default": {"values": usual, "cost": _cost_of(complete, usual)},
        "importance": None,
        "space": SPACE[algo],
    }
    if complete:
        best = min(complete, key=_cost)
        summary["best"] = {"trial": best.number, "cost": best.value, "values": best.params}
    if len(complete) >= _ENOUGH:
        evaluator = PedAnovaImportanceEvaluator()
        summary["importance"] = get_param_importances(study, evaluator=evaluator)
    return summary


def _cost(trial: FrozenTrial) -> float:
    return float("inf") if trial.value is None else trial.value


def _cost_of(trials: list[FrozenTrial], values: dict[str, Any]) -> float | None:
    return next((trial.value for trial in trials if trial.params == values), None)


def write_study(study: Study, summary: dict[str, Any], folder: Path) -> None:
    """Write ``summary.json``, ``best.json`` (for ``--params``) and ``study.png``."""
    write_json(folder / SUMMARY_NAME, summary)
    if summary["best"] is None:
        return
    best = settings(summary["algo"], summary["best"]["values"])
    write_json(folder / BEST_NAME, best.to_dict())
    _plot(study, summary, folder / PICTURE_NAME)


def print_study(summary: dict[str, Any], folder: Path) -> None:
    """Print the best values beside the default ones, and how to train with them."""
    from rich.console import Console
    from rich.table import Table

    best = summary["best"]
    told = ", ".join(f"{count} {name}" for name, count in summary["trials"].items())
    print(f"trials: {told}")
    if best is None:
        print("no trial has been trained to its end yet")
        return
    importance = summary["importance"] or {}
    table = Table(title="hyper-parameters", title_justify="left")
    for column in ("", "default", f"best (trial {best['trial']})", "importance", "tried"):
        table.add_column(column, justify="left" if column in ("", "tried") else "right")
    for name, tried in summary["space"].items():
        share = f"{importance[name]:.0%}" if name in importance else "-"
        usual, found = summary["default"]["values"][name], best["values"][name]
        table.add_row(name, _shown(usual), _shown(found), share, _range(tried))
    cost = summary["default"]["cost"]
    table.add_row(
        "validation cost", "-" if cost is None else f"{cost:.4f}", f"{best['cost']:.4f}", "", ""
    )
    Console().print(table)
    print(
        "The best of many trials owes some of its lead to luck: train both with --seeds, and "
        "compare."
    )
    algo = "" if summary["algo"] == "ppo" else f" --algo {summary['algo']}"
    print(f"train: python train.py{algo} --params {folder / BEST_NAME} --seeds 5")


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _range(tried: Any) -> str:
    if isinstance(tried, list):
        return ", ".join(map(str, tried))
    return f"{tried[0]:g} to {tried[1]:g}" + (", logarithmic" if len(tried) > 2 else "")


def _plot(study: Study, summary: dict[str, Any], path: Path) -> None:
    """Each trial's cost with the least so far, and what the cost depends on."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np
    from optuna.trial import TrialState

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 4.2), gridspec_kw={"width_ratios": (3, 2)}
    )
    styles = (
        (TrialState.COMPLETE, "o", "#2166ac", "trained to the end"),
        (TrialState.PRUNED, "x", "#bdbdbd", "ended early"),
    )
    for state, mark, colour, label in styles:
        chosen = study.get_trials(deepcopy=False, states=(state,))
        if chosen:
            numbers, costs = [t.number for t in chosen], [_cost(t) for t in chosen]
            left.plot(numbers, costs, mark, color=colour, label=label, markersize=5)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    costs = [_cost(trial) for trial in complete]
    numbers = [trial.number for trial in complete]
    left.step(
        numbers, np.minimum.accumulate(costs), where="post", color="#1b7837", label="least so far"
    )
    usual = summary["default"]["cost"]
    if usual is not None:
        left.axhline(usual, color="#888888", linestyle="--", linewidth=0.8, label="default values")
    # A few absurd trials must not squeeze the rest into a line.
    low, high = min(costs), float(np.quantile(costs, 0.9))
    margin = 0.15 * max(high - low, 1e-4)
    left.set_ylim(low - margin, high + 3 * margin)
    left.set_xlabel("trial")
    left.set_ylabel("least validation cost (always-local = 1)")
    left.legend(fontsize=8)
    importance = summary["importance"] or {}
    names = sorted(importance, key=lambda name: importance[name])
    right.barh(names, [importance[name] for name in names], color="#2166ac")
    right.set_xlabel("importance for the cost (PED-ANOVA), share")
    if not names:
        reason = f"none: fewer than {_ENOUGH} trials\nwere trained to the end"
        right.text(0.5, 0.5, reason, ha="center", transform=right.transAxes)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{summary['algo']}: study of hyper-parameters")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
