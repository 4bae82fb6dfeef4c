"""Draws decision maps: a policy's, the optimum's, and where the two differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from agents.decision_map import DEADLINE_SLACK, LOSS, RADIO, MapGrid
from offload.link_profiles import PROFILES
from offload.types import IntArray

_LOCAL, _EDGE, _TOO_OFTEN, _TOO_SELDOM, _SAME = (
    "#e8e4da",
    "#2166ac",
    "#d6604d",
    "#f4a300",
    "#f7f7f7",
)
_DPI = 75
_RATES = {1e5: "0.1", 1e6: "1", 1e7: "10", 1e8: "100", 1e9: "1000"}
_RTTS = {1e-3: "1", 1e-2: "10", 1e-1: "100", 1.0: "1000"}


class DecisionMapFigure:
    """A figure that is laid out once and then filled with one map after another.

    Laying out two dozen axes takes most of a second, filling them a few hundredths: so training
    can show a map without waiting for it.
    """

    def __init__(self, grid: MapGrid) -> None:
        self._grid = grid
        columns = len(grid.kinds)
        self._figure = Figure(figsize=(1.75 * columns + 1.0, 6.4), dpi=_DPI)
        self._canvas = FigureCanvasAgg(self._figure)
        axes = self._figure.subplots(3, columns, sharex=True, sharey=True, squeeze=False)
        placements = ListedColormap([_LOCAL, _EDGE])
        differences = ListedColormap([_TOO_SELDOM, _SAME, _TOO_OFTEN])
        self._policy, self._difference, self._shares = [], [], []
        moving: list[Artist] = []
        low, high = np.log10(grid.rtt_s[[0, -1]])
        bottom, top = np.log10(grid.rate_bps[[0, -1]])
        corners = (low, high, bottom, top)
        profile_rtt, profile_rate = _profiles(corners)
        for column, kind in enumerate(grid.kinds):
            empty = np.zeros_like(grid.optimum[column])
            for row, colours in enumerate((placements, placements, differences)):
                image = axes[row, column].imshow(
                    grid.optimum[column] if row == 1 else empty,
                    cmap=colours,
                    vmin=-1 if row == 2 else 0,
                    vmax=1,
                    origin="lower",
                    extent=corners,
                    aspect="auto",
                    interpolation="nearest",
                    animated=row != 1,
                )
                (dots,) = axes[row, column].plot(
                    profile_rtt, profile_rate, ".", color="black", markersize=4, animated=row != 1
                )
                if row == 0:
                    self._policy.append(image)
                elif row == 2:
                    self._difference.append(image)
                moving += [image, dots] if row != 1 else []
            share = axes[2, column].set_title(" ", fontsize=8, animated=True)
            self._shares.append(share)
            moving.append(share)
            axes[0, column].set_title(kind, fontsize=9)
            axes[2, column].set_xlabel("RTT, ms", fontsize=8)
        self._moving = moving
        for row, name in enumerate(("policy", "maui-true", "difference")):
            axes[row, 0].set_ylabel(f"{name}\nbandwidth, Mbit/s", fontsize=8)
        axes[0, 0].set_xticks(np.log10(list(_RTTS)), list(_RTTS.values()), fontsize=7)
        axes[0, 0].set_yticks(np.log10(list(_RATES)), list(_RATES.values()), fontsize=7)
        for one in axes.ravel():
            one.tick_params(labelsize=7, length=2)
            one.xaxis.set_minor_locator(NullLocator())
        self._heading = self._figure.suptitle(" ", fontsize=10, animated=True)
        self._figure.legend(
            handles=[
                Patch(facecolor=_LOCAL, edgecolor="#888888", label="device"),
                Patch(facecolor=_EDGE, label="edge"),
                Patch(facecolor=_TOO_OFTEN, label="policy: edge, maui-true: device"),
                Patch(facecolor=_TOO_SELDOM, label="policy: device, maui-true: edge"),
            ],
            loc="lower center",
            ncols=4,
            fontsize=8,
            frameon=False,
        )
        self._figure.text(
            0.995,
            0.005,
            f"dots: network profiles; {RADIO} radio asleep, idle device and edge, loss {LOSS:.1%}, "
            f"deadline {DEADLINE_SLACK:g} x local",
            ha="right",
            fontsize=7,
            color="#555555",
        )
        self._figure.tight_layout(rect=(0, 0.05, 1, 0.99), h_pad=0.4, w_pad=0.8)
        self._canvas.draw()
        self._blank = self._canvas.copy_from_bbox(self._figure.bbox)

    def draw(self, answers: IntArray, heading: str) -> NDArray[np.uint8]:
        """Fill in a policy's map.

        Args:
            answers: from :meth:`MapGrid.answers`.
            heading: stands above it; the share of points that differ is added.

        Returns:
            The picture, shape (height, width, 3).
        """
        difference = answers.astype(int) - self._grid.optimum
        for column, image in enumerate(self._policy):
            image.set_data(answers[column])
            self._difference[column].set_data(difference[column])
            self._shares[column].set_text(f"differs: {np.mean(difference[column] != 0):.1%}")
        self._heading.set_text(
            f"{heading}: differs from maui-true at {np.mean(difference != 0):.1%} of the points"
        )
        self._canvas.restore_region(self._blank)
        for artist in self._moving:
            self._figure.draw_artist(artist)
        self._figure.draw_artist(self._heading)
        return np.array(self._canvas.buffer_rgba())[..., :3]


def save_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a picture as PNG."""
    from PIL import Image

    Image.fromarray(picture).save(path)


def _profiles(corners: tuple[float, float, float, float]) -> tuple[list[float], list[float]]:
    """Where the network profiles lie on the map, in logarithms; those beyond it are left out."""
    low, high, bottom, top = corners
    found = []
    for profile in PROFILES.values():
        rate = profile.uplink.rate_bps
        rtt_s = profile.uplink.delay_s + profile.downlink.delay_s
        if rate and rtt_s > 0:
            found.append((np.log10(rtt_s), np.log10(rate)))
    inside = [(x, y) for x, y in found if low <= x <= high and bottom <= y <= top]
    return [x for x, _ in inside], [y for _, y in inside]
