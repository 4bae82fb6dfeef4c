"""Panels and plates: what a figure of the report consists of, and how its panels look."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from evidence.report.letters import writable
from evidence.report.palette import GRID, INK, MUTED, PAPER

PANEL_IN = 3.6
"""Width of a panel in inches: what a telephone shows without making the letters too small."""
_NAME_LETTERS = 22

_STYLE: Any = {
    "svg.fonttype": "none",  # letters stay letters: sharp, to be searched and copied
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a name may hold a dollar
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": PAPER.light,
    "axes.edgecolor": MUTED.light,
    "axes.labelcolor": INK.light,
    "axes.titlecolor": INK.light,
    "text.color": INK.light,
    "xtick.color": MUTED.light,
    "ytick.color": MUTED.light,
    "xtick.labelcolor": INK.light,
    "ytick.labelcolor": INK.light,
    "grid.color": GRID.light,
    "grid.linewidth": 0.6,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
}


@dataclass(frozen=True)
class Panel:
    """One drawing.

    Attributes:
        name: of its files.
        alt: what it shows, for those who cannot see it.
        figure: the drawing.
        narrow: another one in its place where the page is narrow; None: it fits there too.
    """

    name: str
    alt: str
    figure: Figure
    narrow: Figure | None = None

    @cached_property
    def svg(self) -> str:
        """The drawing as SVG, the same each time."""
        return _svg(self.figure, self.name)

    @cached_property
    def narrow_svg(self) -> str | None:
        """The one for narrow pages."""
        return None if self.narrow is None else _svg(self.narrow, self.name)

    def write_pdf(self, path: Path) -> None:
        """Write the drawing as PDF, the same bytes each time."""
        with drawing():
            self.figure.savefig(path, metadata={"CreationDate": None, "Producer": None})


def _svg(figure: Figure, salt: str) -> str:
    """A figure as SVG; the salt makes its ids, so they do not differ from time to time."""
    file = io.StringIO()
    with drawing(), matplotlib.rc_context({"svg.hashsalt": salt}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    figure.set_layout_engine("none")  # it is laid out
    return writable(file.getvalue())


@dataclass(frozen=True, slots=True)
class Plate:
    """Panels that belong together, with what one must know to read them."""

    name: str
    caption: str
    panels: tuple[Panel, ...]

    @property
    def wide(self) -> bool:
        """Its panels take a whole row each."""
        return any(panel.narrow is not None for panel in self.panels)


@contextmanager
def drawing() -> Iterator[None]:
    """The report's style for what is drawn and written within."""
    with matplotlib.rc_context(_STYLE):
        yield


def new_panel(
    height_in: float, width_in: float = PANEL_IN, rows: int = 1, columns: int = 1, **layout: object
) -> tuple[Figure, Sequence[Axes]]:
    """A figure and its axes, row by row; ``layout`` goes to :meth:`Figure.subplots`."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **layout)  # type: ignore[call-overload]
    return figure, list(axes.flat)


def file_name(number: int, text: str) -> str:
    """A panel's name of its number and a text that anybody may have written."""
    return f"{number}-" + "".join(letter if letter.isalnum() else "-" for letter in text[:40])


def short(name: str) -> str:
    """A name as a figure has room for it."""
    return name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 1]}…"


def plain_number(value: float, position: object = None) -> str:
    """A tick of a logarithmic axis without powers of ten."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def logarithmic(axes: Axes, which: str) -> None:
    """Make the axis ``x`` or ``y`` logarithmic, its limits set, with plain numbers at it."""
    set_scale: Callable[[str], None] = getattr(axes, f"set_{which}scale")
    set_scale("log")
    axis = getattr(axes, f"{which}axis")
    low, high = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if high < 60.0 * low else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(plain_number))
    axis.set_minor_formatter(NullFormatter())


def title(axes: Axes, text: str) -> None:
    """A panel's title, above its left end."""
    axes.set_title(text, loc="left", fontweight="bold")
