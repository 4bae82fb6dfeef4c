"""A training on a node of a Ray cluster: what :mod:`agents.ray_launcher` makes an actor of.

The node imports this module from its own installation of the project. Settings come as plain
values and are checked as those of a file are.
"""

from __future__ import annotations

import math
import socket
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

TOKEN_NAME = ".launcher"
"""A file in the folder of the seeds, by which a node tells that it sees the same folder."""


class RayTrainer:
    """Trains one after the other, and can be asked and told meanwhile.

    Every training has a number, so that a wish to stop one cannot stop the next.
    """

    def __init__(self) -> None:
        self._rows: deque[dict[str, float]] = deque()
        self._stopped = -1

    def news(self) -> list[dict[str, float]]:
        """Rows of the curve since the last call."""
        return [self._rows.popleft() for _ in range(len(self._rows))]

    def stop(self, number: int) -> None:
        """End that training at the next clean moment, with a checkpoint."""
        self._stopped = number

    def train_seed(
        self,
        number: int,
        config: dict[str, Any],
        folder: str,
        token: str,
        tensorboard: bool,
        checkpoint_every_s: float,
    ) -> str:
        """Train one seed in its folder; why that failed, empty if it did not."""
        from agents.checkpoint import stored_checkpoints

        run = Path(folder)
        seen = run.parent / TOKEN_NAME
        if not seen.is_file() or seen.read_text() != token:
            return (
                f"node {socket.gethostname()} does not see the folder {run.parent}; give an --out "
                "on a file system that all nodes share"
            )
        return self._train(
            number,
            config,
            run.parent,
            folder=run,
            resume=run if stored_checkpoints(run) else None,
            tensorboard=tensorboard,
            checkpoint_every_s=checkpoint_every_s,
        )

    def train_trial(self, number: int, config: dict[str, Any]) -> str:
        """Train a trial of a study, of which nothing is kept; why that failed, or empty."""
        with tempfile.TemporaryDirectory(prefix="offload-tune-") as out:
            return self._train(
                number, config, Path(out), tensorboard=False, checkpoint_every_s=math.inf
            )

    def _train(self, number: int, config: dict[str, Any], out: Path, **settings: Any) -> str:
        from agents.train_config import config_of
        from agents.training import train
        from offload.errors import OffloadError

        try:
            train(
                config_of(config, None, Path("the launcher")),
                out,
                progress=False,
                stop=lambda: self._stopped == number,
                on_check=self._rows.append,
                **settings,
            )
        except (OffloadError, OSError) as error:
            return str(error)
        return ""
