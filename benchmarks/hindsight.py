"""How close the search for the optimum in hindsight comes, and how long it takes.

python benchmarks/hindsight.py
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich import box
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.hindsight.search import solve
from agents.maui_policy import MauiPolicy
from agents.rollout import roll_out
from envs.config import EnvConfig
from envs.scenario import draw_scenario
from envs.streams import Purpose, stream
from envs.workload import WorkloadTable
from offload.link_profiles import PROFILES
from offload.tasks.profile_table import load_profile_table
from offload.types import Objective


@dataclass(frozen=True)
class Config:
    """What to search through."""

    scenarios: int = 100
    """Episodes of each profile, from the validation stream."""
    labels: tuple[int, ...] = (64, 512, 4096)
    """Most labels a step: each row of the table adds one more search."""


def main(config: Config) -> None:
    """Search, and print the table."""
    lanes = config.scenarios * len(PROFILES)
    table = Table(
        title=f"{lanes:,} episodes of 64 tasks over all profiles (validation stream)",
        title_justify="left",
        caption="Costs are means over tasks; gap: cost of the plan less the bound below.",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for heading in (
        "objective", "labels", "maui-true", "plan", "mean gap", "99 % of gaps", "largest",
        "proven %", "seconds",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    for objective in Objective:
        world = EnvConfig(objective=objective)
        rows = WorkloadTable.of(load_profile_table(), world.workload)
        scenario = draw_scenario(stream(Purpose.VALIDATE, 1), world, rows, lanes)
        known = roll_out(MauiPolicy(objective, sees_truth=True), scenario, world)
        for last in range(1, len(config.labels) + 1):
            start = time.perf_counter()
            found = solve(scenario, world, known.placement, config.labels[:last])
            seconds = time.perf_counter() - start
            table.add_row(
                objective,
                ", ".join(map(str, config.labels[:last])),
                f"{known.cost.mean():.4f}",
                f"{found.upper.mean():.4f}",
                f"{found.gap.mean():.5f}",
                f"{np.percentile(found.gap, 99):.4f}",
                f"{found.gap.max():.4f}",
                f"{100 * found.solved:.1f}",
                f"{seconds:.1f}",
            )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
