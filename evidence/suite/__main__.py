"""The benchmark suite: ``python -m evidence.suite``, or ``make benchmark``.

Live, over every network profile and every link under stress: round-trip time, task latency on the
device against offloaded, what offloading does to a competing flow and the flow to it, modelled
energy, and how often each policy decides right.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from evidence.ending import exit_code, unwind_on_sigterm


@dataclass(frozen=True)
class SuiteOptions:
    """Measure the key figures of every link and policy."""

    quick: bool = False
    """Three links, a few tasks: about two minutes instead of twenty."""
    links: str | None = None
    """Comma-separated profiles and links under stress (handover, outage, ramp); default: all."""
    policies: str = "all"
    """Comma-separated names, or all."""
    objective: Literal["latency", "energy", "mixed"] = "mixed"
    """What a decision is to minimise."""
    backend: str = "auto"
    """Network backend; python -m netem doctor lists them."""
    congestion_control: Literal["cubic", "bbr"] = "cubic"
    """TCP congestion control of both ends; the competing flow uses the system's."""
    seed: int = 0
    """Of the tasks."""
    runs: Path = Path("runs")
    """Where to look for the newest run of a learned policy."""
    out: Path = Path("results")
    """Where the result folder goes."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Go on with an interrupted suite, with its own settings; void links are measured again."""


def main(options: SuiteOptions) -> int:
    """Run the suite; returns the exit code."""
    from evidence.suite.plan import FULL, LINKS, QUICK, QUICK_LINKS
    from evidence.suite.run import Settings, run_suite, saved_settings

    if options.resume is not None:
        return run_suite(saved_settings(options.resume), options.out, options.resume)
    default = QUICK_LINKS if options.quick else LINKS
    named = options.links.split(",") if options.links is not None else default
    settings = Settings(
        links=tuple(name.strip() for name in named),
        amount=QUICK if options.quick else FULL,
        policies=options.policies,
        objective=options.objective,
        backend=options.backend,
        congestion_control=options.congestion_control,
        seed=options.seed,
        runs=str(options.runs),
    )
    return run_suite(settings, options.out, None)


def cli() -> None:
    """Entry point: errors of the project are one line and exit code 2; 3: a link is void."""
    options = tyro.cli(SuiteOptions, description=__doc__)
    unwind_on_sigterm()
    if options.backend != "proxy":
        from netem import unprivileged

        unprivileged.enter()  # refused, it goes on, and the live run says what it lacks
    sys.exit(exit_code("evidence.suite", lambda: main(options)))


if __name__ == "__main__":
    cli()
