"""Draws a replay: what was set and what was found, over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from netem.fidelity import Compared, Fidelity, agreement
from netem.fidelity_traffic import BIN_S


def plot(fidelity: Fidelity, path: Path) -> None:
    """Set and found over time, a panel a quantity."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    panels = (
        (("downlink", "downlink_tcp"), 1e6, "downlink, Mbit/s"),
        (("uplink", "uplink_tcp"), 1e6, "uplink, Mbit/s"),
        (("rtt",), 1e-3, "round trip, ms"),
    )
    labels = {"downlink": "datagrams", "uplink": "datagrams", "rtt": "pings, median"}
    for axis, (names, unit, label) in zip(axes, panels, strict=True):
        wanted: Compared = getattr(fidelity, names[0])
        t_s = np.arange(len(wanted.set) + 1) * BIN_S
        axis.stairs(wanted.set / unit, t_s, color="0.7", linewidth=3.0, label="set", baseline=None)
        for name, color in zip(names, ("C0", "C1"), strict=False):
            part: Compared = getattr(fidelity, name)
            agrees = agreement(part)
            said = f"{labels.get(name, 'TCP')}: {agrees.correlation:.3f}, {agrees.median_ratio:.3f}"
            axis.stairs(part.found / unit, t_s, color=color, label=said, baseline=None)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0.0)
        axis.grid(alpha=0.3)
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small")
    axes[-1].set_xlabel("seconds of the replay")
    axes[0].set_title(
        f"{fidelity.trace} over {fidelity.backend}; correlation and median ratio to set", loc="left"
    )
    figure.savefig(path, dpi=110)
