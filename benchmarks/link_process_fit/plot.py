"""Measured and synthetic links in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from benchmarks.link_process_fit.fitting import QUANTITIES
from benchmarks.link_process_fit.statistics import LENGTHS_S, distribution_grid
from benchmarks.link_process_fit.study import STAY_SHOWN

_MEASURED, _FITTED, _JUDGED = "#2166ac", "#1b7837", "#999999"
_LABELS = {"uplink": "uplink rate", "downlink": "downlink rate", "rtt": "RTT"}


def plot_study(found: dict[str, Any], path: Path) -> None:
    """Distribution, autocorrelation and lengths of dips or spikes, a row a quantity."""
    figure, rows = plt.subplots(3, 3, figsize=(13, 10))
    for axes, (quantity, kind) in zip(rows, QUANTITIES.items(), strict=True):
        curves = found["curves"][quantity]
        label, threshold = _LABELS[quantity], STAY_SHOWN[quantity]
        # A logit axis shows both tails; it cannot show 0 and 1.
        inside = {side: np.clip(c, 1e-4, 1 - 1e-4) for side, c in curves["distribution"].items()}
        _draw(axes[0], distribution_grid(kind), inside)
        axes[0].set_xlabel(f"ln({label} / the link's median)")
        axes[0].set_ylabel("share of time at or below")
        axes[0].set_yscale("logit")
        axes[0].set_ylim(0.003, 0.997)
        _draw(axes[1], kind.lags_s, curves["autocorrelation"])
        axes[1].set_xlabel("lag, s")
        axes[1].set_ylabel(f"autocorrelation of ln({label})")
        axes[1].axhline(0.0, color="#cccccc", linewidth=0.8)
        lasting = axes[2]
        _draw(lasting, LENGTHS_S, curves["at least so long"])
        lasting.set_yscale("log")
        lasting.set_ylim(1e-3, 1.3)
        side = "below" if threshold < 1.0 else "above"
        lasting.set_xlabel(f"time {side} {threshold:g} of the median, s")
        lasting.set_ylabel("share of stays at least so long")
        for one in axes:
            one.spines[["top", "right"]].set_visible(False)
    rows[0][1].legend(frameon=False)
    figure.suptitle(
        f"How links move: {found['links']} measured on drives, and the simulator's. Bands: 95 % "
        f"bootstrap over links; range of 95 % of sets of {found['links']} synthetic links"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw(axes: Axes, x: Any, curve: dict[str, Any]) -> None:
    across = np.asarray(x)
    for side, colour, low, high in (
        ("measured", _MEASURED, "low", "high"),
        ("fitted", _FITTED, "fitted_low", "fitted_high"),
    ):
        axes.fill_between(across, curve[low], curve[high], color=colour, alpha=0.2, linewidth=0)
        name = "measured" if side == "measured" else "synthetic, fitted"
        axes.plot(across, curve[side], color=colour, label=name)
    axes.plot(across, curve["judged"], "--", color=_JUDGED, label="synthetic, judged before")
