"""The picture of docs/models.md: predicted against measured seconds, and the error by size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.link_model_fit.transfers import Transfers
from offload.types import FloatArray

_COLOURS = {"cubic": "tab:blue", "bbr": "tab:orange"}


def draw(transfers: Transfers, predicted_s: FloatArray, path: Path) -> None:
    """Write the picture; the error's panel shows quartiles and deciles of each size."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    ends = (transfers.seconds.min() / 1.5, transfers.seconds.max() * 1.5)
    left.fill_between(ends, np.divide(ends, 1.25), np.multiply(ends, 1.25), color="0.9", lw=0)
    left.plot(ends, ends, color="0.4", lw=1)
    sizes = np.unique(transfers.n_bytes)
    for shift, (control, colour) in zip((-0.5, 0.5), _COLOURS.items(), strict=True):
        mine = transfers.control == control
        left.scatter(
            transfers.seconds[mine], predicted_s[mine], s=7, alpha=0.5, lw=0, color=colour,
            label=control,
        )  # fmt: skip
        errors = [
            100 * np.log(predicted_s[here] / transfers.seconds[here])
            for here in (mine & (transfers.n_bytes == size) for size in sizes)
        ]
        boxes = right.boxplot(
            errors, positions=3 * np.arange(len(sizes)) + shift, widths=0.8, whis=(10, 90),
            showfliers=False, patch_artist=True, manage_ticks=False,
            medianprops={"color": "black"},
        )  # fmt: skip
        for box in boxes["boxes"]:
            box.set(facecolor=colour, alpha=0.6)
    left.set(
        xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="measured s",
        ylabel="predicted s", title=f"validation half, {len(transfers)} transfers; grey: ±25 %",
    )  # fmt: skip
    left.legend()
    right.axhline(0, color="0.4", lw=1)
    right.set_xticks(3 * np.arange(len(sizes)), [f"{size / 1e3:g}" for size in sizes])
    right.set(
        xlabel="message, kB", ylabel="100 ln(predicted / measured)",
        title="error by size: quartiles, 10th and 90th percentile",
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
