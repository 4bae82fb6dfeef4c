"""Where the trainings of several seeds, or of a study, run: processes here, or a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from agents.seeds import SeedRun, train_seeds
from agents.train_config import TrainConfig
from agents.tuning_workers import TrialWorkers
from offload.errors import ConfigError


class TrialPool(Protocol):
    """Workers that train trials; :class:`agents.tuning_workers.TrialWorkers` says how."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def __len__(self) -> int: ...

    def begin(self, worker: int, config: TrainConfig) -> None:
        """Have an idle worker train."""
        ...

    def stop(self, worker: int) -> None:
        """Have it stop what it trains."""
        ...

    def reports(
        self, busy: Sequence[int], timeout_s: float
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """What those workers have to say."""
        ...


class Launcher(Protocol):
    """Starts trainings."""

    @property
    def cores(self) -> int:
        """How many it trains at a time."""
        ...

    def train_seeds(
        self,
        configs: Sequence[TrainConfig],
        folder: Path,
        *,
        stop: Callable[[], bool],
        tensorboard: bool = True,
        checkpoint_every_s: float,
        report: Callable[[int, dict[str, float]], None],
    ) -> list[SeedRun]:
        """As :func:`agents.seeds.train_seeds`."""
        ...

    def trial_workers(self, count: int) -> TrialPool:
        """Workers for the trials of a study."""
        ...

    def close(self) -> None:
        """End what is left of it."""
        ...


class ProcessLauncher:
    """Processes of this machine, one a core."""

    train_seeds = staticmethod(train_seeds)

    @property
    def cores(self) -> int:
        """Cores this process may use."""
        return len(os.sched_getaffinity(0))

    def trial_workers(self, count: int) -> TrialWorkers:
        """So many processes."""
        return TrialWorkers(count)

    def close(self) -> None:
        """Nothing is left."""


def make_launcher(name: Literal["process", "ray"], ray_address: str | None) -> Launcher:
    """The launcher of that name.

    Raises:
        ConfigError: an address without Ray, or Ray without one, or it is not installed.
        BackendError: no Ray cluster answers.
    """
    if (name == "ray") != (ray_address is not None):
        raise ConfigError("--launcher ray and --ray-address HOST:PORT go together; give both")
    if ray_address is None:
        return ProcessLauncher()
    from agents.ray_launcher import RayLauncher

    return RayLauncher(ray_address)
