"""Where a training's log goes: TensorBoard's events, or nowhere."""

from __future__ import annotations

import sys
from pathlib import Path

from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from agents.run_directory import TENSORBOARD_NAME


class _Curve(TensorBoardOutputFormat):
    """TensorBoard events that take the place of those of later steps in the same folder."""

    def __init__(self, folder: Path, after_step: int | None) -> None:
        purge = None if after_step is None else after_step + 1
        self.writer = SummaryWriter(log_dir=str(folder), purge_step=purge)
        self._is_closed = False


def silent_log() -> Logger:
    """A log that goes nowhere; without one, stable-baselines3 leaves a folder in /tmp."""
    return Logger(folder=None, output_formats=[])


def curve_output(run: Path, curve: list[dict[str, float]]) -> TensorBoardOutputFormat:
    """TensorBoard events of a run.

    Args:
        run: its folder.
        curve: of a run that is resumed, what its checkpoint holds; what was logged after that is
            logged again, so TensorBoard is told to forget it.
    """
    return _Curve(run / TENSORBOARD_NAME, int(curve[-1]["step"]) if curve else None)


def tell(line: str) -> None:
    """Say something on stderr without disturbing the bar."""
    tqdm.write(line, file=sys.stderr)
