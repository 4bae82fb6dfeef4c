"""What TensorBoard shows of a training beside its curves: each link, decision maps, settings.

- ``accuracy_by_link/*``, ``regret_by_link/*``, ``offloaded_by_link/*``: the greedy policy on the
  validation scenarios of each link profile; measured links together are one more. They lie over
  each other in the tab CUSTOM SCALARS.
- ``kept/*``: the weights with the least validation cost so far, those the run will end with.
- ``decision_map/*``: :mod:`agents.decision_map` at checks 1, 2, 4, 8, ... and of what is kept.
- HPARAMS: the settings beside ``kept/*``; TEXT: the settings and where the run comes from.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from agents.decision_map import make_grid
from agents.decision_map_plot import DecisionMapFigure, save_picture
from agents.rollout import Rollout
from agents.run_directory import DECISION_MAP_NAME
from envs.workload import WorkloadTable
from offload.interfaces import Policy
from offload.types import FloatArray, IntArray

if TYPE_CHECKING:
    from agents.train_config import TrainConfig

MEASURED = "measured links"
_BY_LINK = ("accuracy_by_link", "regret_by_link", "offloaded_by_link")
_KEPT = ("cost", "accuracy", "regret_maui_true", "seconds")


class Board:
    """Writes into a run's TensorBoard events.

    Args:
        writer: the run's.
        links: the link of each validation scenario, shape (lanes,): the first of them count
            ``config.env.profiles``, unless all are traces.
        true_cost: maui-true's cost of each decision on them, shape (steps, lanes).
    """

    def __init__(
        self,
        config: TrainConfig,
        table: WorkloadTable,
        writer: SummaryWriter,
        links: IntArray,
        true_cost: FloatArray,
    ) -> None:
        self._writer = writer
        self._algo = config.algo
        self._true_cost = true_cost
        self._members = _members(config, links)
        self._grid = make_grid(config.env, table)
        self._figure = DecisionMapFigure(self._grid)

    def describe(self, config: TrainConfig, came_from: dict[str, Any]) -> None:
        """Write the settings, where the run comes from, and which curves belong together."""
        settings = dataclasses.asdict(config)
        for name, data in (("settings", settings), ("origin", came_from)):
            self._writer.add_text(name, "```json\n" + json.dumps(data, indent=2) + "\n```")
        layout = {tag: ["Multiline", [f"^{tag}/"]] for tag in _BY_LINK}
        self._writer.add_custom_scalars({"each link": layout})
        # Not add_hparams, which would open a run of its own for them.
        for part in hparams(hyper_parameters(config), {f"kept/{name}": 0.0 for name in _KEPT}):
            self._writer._get_file_writer().add_summary(part)

    def check(
        self, step: int, number: int, played: Rollout, policy: Policy, kept: dict[str, float]
    ) -> None:
        """Show one check.

        Args:
            step: decisions trained on so far.
            number: of the check, from 1.
            played: the greedy policy's validation.
            kept: the curve's row with the least cost so far.
        """
        for link, lanes in self._members.items():
            cost, placement = played.cost[:, lanes], played.placement[:, lanes]
            values = (
                np.mean(placement == played.optimum[:, lanes]),
                np.mean(cost - self._true_cost[:, lanes]),
                np.mean(placement),
            )
            for tag, value in zip(_BY_LINK, values, strict=True):
                self._writer.add_scalar(f"{tag}/{link}", float(value), step)
        for name in _KEPT:
            self._writer.add_scalar(f"kept/{name}", kept[name], step)
        if number & (number - 1) == 0:
            self._show_map("training", policy, step, step)

    def finish(self, policy: Policy, step: int, kept_step: int, folder: Path) -> None:
        """Show what is kept, and write its map into the run's folder."""
        picture = self._show_map("kept", policy, step, kept_step)
        save_picture(picture, folder / DECISION_MAP_NAME)
        self._writer.flush()

    def _show_map(self, tag: str, policy: Policy, step: int, of_step: int) -> Any:
        heading = f"{self._algo}, weights of step {of_step:,}"
        picture = self._figure.draw(self._grid.answers(policy), heading)
        self._writer.add_image(f"decision_map/{tag}", picture, step, dataformats="HWC")
        return picture


def hyper_parameters(config: TrainConfig) -> dict[str, Any]:
    """The settings that runs are compared by, flat."""
    params = {} if config.params is None else dataclasses.asdict(config.params)
    return {
        "algo": config.algo,
        "objective": str(config.env.objective),
        "seed": config.seed,
        "steps": config.total_steps,
        "lanes": config.n_lanes,
        "profiles": len(config.env.profiles),
        "traces": len(config.env.traces),
        "without": ",".join(config.env.without),
        **params,
    }


def _members(config: TrainConfig, links: IntArray) -> dict[str, IntArray]:
    """The lanes of each link, by its name; links without a lane are left out."""
    profiles = config.env.profiles
    if config.env.traces and config.env.trace_share == 1.0:
        return {MEASURED: np.arange(len(links))}
    found = {name: np.flatnonzero(links == index) for index, name in enumerate(profiles)}
    found[MEASURED] = np.flatnonzero(links >= len(profiles))
    return {name: lanes for name, lanes in found.items() if len(lanes)}
