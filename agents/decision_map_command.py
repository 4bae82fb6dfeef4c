"""Draws the decision map of a policy bundle: ``python -m agents.decision_map_command``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from offload.errors import OffloadError


@dataclass(frozen=True)
class MapOptions:
    """Draw where a policy offloads, where maui-true does, and where the two differ."""

    bundle: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """The bundle, such as agents/pretrained/ppo-mixed."""
    picture: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE.png")]
    """Where the picture goes."""


def main(options: MapOptions) -> None:
    """Draw and save.

    Raises:
        BundleError: the bundle is missing or damaged.
    """
    from agents.bundle import BundlePolicy, load_bundle
    from agents.decision_map import make_grid
    from agents.decision_map_plot import DecisionMapFigure, save_picture
    from envs.config import EnvConfig
    from envs.workload import WorkloadTable
    from offload.tasks.profile_table import load_profile_table

    bundle = load_bundle(options.bundle)
    config = EnvConfig(objective=bundle.objective)
    grid = make_grid(config, WorkloadTable.of(load_profile_table(), config.workload))
    answers = grid.answers(BundlePolicy(bundle))
    heading = f"{bundle.algorithm}, objective {bundle.objective}"
    save_picture(DecisionMapFigure(grid).draw(answers, heading), options.picture)


if __name__ == "__main__":
    try:
        main(tyro.cli(MapOptions, description=__doc__))
    except OffloadError as error:
        raise SystemExit(f"agents.decision_map_command: {error}") from error
