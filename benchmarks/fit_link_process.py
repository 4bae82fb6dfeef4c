"""Fit the simulator's synthetic links to measured ones, and show how near they come.

    python benchmarks/fit_link_process.py --traces DIR    # statistics, fit, table, JSON and picture
    python benchmarks/fit_link_process.py                 # table and picture of the last fit

DIR holds traces with a row each half second (``offload.link_trace``), pings for the first 30 s. The
JSON holds statistics alone. What the fit finds becomes a default of
``envs.config.LinkProcessConfig`` by hand; the command says where the two differ. The fit takes a
few minutes.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from envs.config import LinkProcessConfig
from offload.errors import OffloadError, TraceError
from offload.link_trace import load_traces

ROOT = Path(__file__).resolve().parents[1]
NOT_AT_ONCE = (
    "Uplink, downlink and pings of a trace were measured minutes apart, not at once: they say "
    "nothing of what happens together. That one disturbance hits all three is assumed."
)


@dataclass(frozen=True)
class Config:
    """What to fit, and where the result goes."""

    traces: Path | None = None
    """Folder of traces to fit to. Without it the last fit is shown."""
    seed: int = 0
    """Of the synthetic links and of the bootstrap."""
    output: Path = ROOT / "docs" / "measured" / "link-process.json"
    """JSON of the statistics and of the settings."""
    picture: Path = ROOT / "docs" / "images" / "link-process.png"


def run(config: Config, console: Console) -> None:
    """Fit if there are traces; show in any case.

    Raises:
        TraceError: a trace cannot be read, or is of another kind.
        OSError: there is neither a folder of traces nor a fit to show.
    """
    from benchmarks.link_process_fit.plot import plot_study
    from benchmarks.link_process_fit.study import study

    if config.traces is None:
        console.print(f"no --traces: showing the fit in {config.output}")
        found: dict[str, Any] = json.loads(config.output.read_text())
    else:
        traces = load_traces(config.traces)
        if len(traces) < 2:
            raise TraceError(f"{config.traces}: one trace tells nothing of the spread; give more")
        found = study(traces, config.seed)
        config.output.write_text(json.dumps(found, indent=1) + "\n")
    console.print(NOT_AT_ONCE)
    for quantity, part in found["statistics"].items():
        console.print(_statistics_table(quantity, part, found["links"]))
    console.print(_settings_table(found))
    plot_study(found, config.picture)
    console.print(f"picture: {config.picture}")


def _statistics_table(quantity: str, part: dict[str, Any], links: int) -> Table:
    table = Table(
        quantity,
        "measured [95 % interval]",
        "judged before",
        f"fitted [95 % of sets of {links}]",
        title=f"{quantity}: {links} measured links, and synthetic ones",
    )
    for name, row in part.items():
        table.add_row(
            name,
            f"{_number(row['measured'])} [{_number(row['low'])}, {_number(row['high'])}]",
            _number(row["judged"]),
            f"{_number(row['fitted'])} [{_number(row['fitted_low'])}, "
            f"{_number(row['fitted_high'])}]",
        )
    return table


def _settings_table(found: dict[str, Any]) -> Table:
    now = LinkProcessConfig()
    table = Table("link.", "judged before", "fitted", "default now", title="Settings")
    for name, value in found["settings"].items():
        default = getattr(now, name)
        note = "" if default == value else "  differs"
        table.add_row(name, f"{found['judged'][name]:g}", f"{value:g}", f"{default:g}{note}")
    left = found["left_over_standard_errors"]
    table.caption = (
        "root mean square of what is left of the differences, in standard errors: "
        f"{left['judged']} judged, {left['fitted']} fitted"
    )
    return table


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def main(config: Config) -> None:
    """Fit, or show the last fit."""
    try:
        run(config, Console())
    except (OffloadError, OSError) as error:
        raise SystemExit(f"fit_link_process: {error}") from error


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
