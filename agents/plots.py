"""The pictures of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from agents.policies import LEARNED_NAMES
from agents.simulation import ORACLE, Evaluation
from offload.types import PairedRun

_LEARNED, _ORACLE, _MAUI, _OTHER = "#1b7837", "#444444", "#2166ac", "#bdbdbd"


def _colour(name: str) -> str:
    if name in LEARNED_NAMES:
        return _LEARNED
    if name == ORACLE:
        return _ORACLE
    return _MAUI if name.startswith("maui") else _OTHER


def plot_policies(evaluation: Evaluation, title: str, path: Path) -> None:
    """Accuracy and cost of every policy, with their 95 % intervals."""
    names = list(evaluation.scores)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 0.42 * len(names) + 1.6), sharey=True)
    for axes, term, label, factor in (
        (left, "accuracy", "decision accuracy against maui-true, %", 100.0),
        (right, "cost", "cost (always-local = 1)", 1.0),
    ):
        _bars(axes, evaluation, term, factor)
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.set_xlim(0, 108)
    right.axvline(1.0, color="#888888", linewidth=0.8, linestyle="--")
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _bars(axes: Axes, evaluation: Evaluation, term: str, factor: float) -> None:
    for row, (name, score) in enumerate(evaluation.scores.items()):
        interval = getattr(score, term)
        value = factor * interval.value
        # Rounding can put a bound on the wrong side of the value by an ulp.
        spread = np.clip(
            [[value - factor * interval.low], [factor * interval.high - value]], 0.0, None
        )
        axes.barh(row, value, color=_colour(name), xerr=spread, error_kw={"linewidth": 1.0})
        digits = 1 if factor > 1 else 2
        axes.annotate(
            f"{value:.{digits}f}",
            (value + spread[1][0], row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )


def plot_latency(evaluation: Evaluation, title: str, path: Path) -> None:
    """Distribution of completion times, a curve a policy."""
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for name, played in evaluation.rollouts.items():
        seconds = np.sort(played.seconds.ravel())
        share = np.arange(1, len(seconds) + 1) / len(seconds)
        shown = np.unique(np.linspace(0, len(seconds) - 1, 500).astype(int))
        strong = name in LEARNED_NAMES or name.startswith("maui")
        axes.plot(
            seconds[shown],
            share[shown],
            label=name,
            linewidth=1.8 if strong else 1.0,
            alpha=1.0 if strong else 0.7,
            linestyle="-" if name in LEARNED_NAMES else "--" if strong else ":",
        )
    axes.set_xscale("log")
    axes.set_xlabel("completion time, s")
    axes.set_ylabel("share of tasks")
    axes.set_title(title)
    axes.legend(fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def plot_pairs(pairs: Sequence[PairedRun], title: str, path: Path) -> None:
    """Each task's measured seconds on the device against those at the edge.

    A triangle marks a remote run that was given up at its budget, which is then its height.
    """
    local_s = np.array([float(pair.local.seconds) for pair in pairs])
    edge_s = np.array([float(p.budget_s if p.edge is None else p.edge.seconds) for p in pairs])
    late = np.array([pair.edge is None for pair in pairs])
    kinds = [pair.task.kind for pair in pairs]
    figure, axes = plt.subplots(figsize=(5.6, 5.0))
    for index, kind in enumerate(sorted(set(kinds))):
        mine = np.array([k == kind for k in kinds])
        colour = f"C{index}"
        axes.scatter(local_s[mine & ~late], edge_s[mine & ~late], s=22, color=colour, label=kind)
        axes.scatter(local_s[mine & late], edge_s[mine & late], s=30, color=colour, marker="^")
    low = 0.5 * min(local_s.min(), edge_s.min())
    high = 2.0 * max(local_s.max(), edge_s.max())
    axes.plot([low, high], [low, high], color="#888888", linewidth=0.8)
    axes.text(low * 1.3, high * 0.6, "device faster", color="#666666")
    axes.text(high * 0.72, low * 1.3, "edge faster", color="#666666", ha="right")
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.set_xlabel("measured on the device, s")
    axes.set_ylabel("measured at the edge, s (triangle: given up)")
    axes.set_title(title)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
