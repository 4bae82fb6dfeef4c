"""Trainings on the nodes of a Ray cluster, one CPU each, instead of in processes of this machine.

A seed's run is the same, to the bit, as in a process of its own. Its folder must lie on a file
system that all nodes share; a trial of a study leaves nothing behind, and needs none.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from agents.ray_trainer import TOKEN_NAME, RayTrainer
from agents.run_directory import STATUS_NAME, read_json
from agents.seeds import SeedRun, seed_folder
from agents.train_config import TrainConfig
from offload.errors import OffloadError
from offload.ray_connection import connect_ray

_LOOK_S = 0.2
_LAST_ROWS_S = 10.0
_GONE = "its process on the Ray cluster has ended, or the node it was on"


class RayLauncher:
    """A cluster that trains.

    Args:
        address: ``HOST:PORT`` of its head.

    Raises:
        ConfigError: ray is not installed, or the address is none.
        BackendError: no cluster answers there.
    """

    def __init__(self, address: str) -> None:
        self._ray = connect_ray(address, 1)

    @property
    def cores(self) -> int:
        """CPUs of all nodes."""
        return int(self._ray.cluster_resources()["CPU"])

    def close(self) -> None:
        """Leave the cluster; what still runs there is ended."""
        self._ray.shutdown()

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
        """Train each of ``configs``, as many at a time as there are CPUs.

        Arguments and result are those of :func:`agents.seeds.train_seeds`.
        """
        token = secrets.token_hex(16)
        (folder / TOKEN_NAME).write_text(token)
        running: list[_Training] = []
        ended: list[SeedRun] = []
        told = False
        try:
            for config in configs:
                run = seed_folder(folder, config.seed).resolve()
                run.mkdir(exist_ok=True)
                training = _Training(self._ray, config)
                training.begin("train_seed", str(run), token, tensorboard, checkpoint_every_s)
                running.append(training)
            while running:
                if stop() and not told:
                    told = True
                    for training in running:
                        training.stop()
                self._ray.wait([training.result for training in running], timeout=_LOOK_S)
                for training in list(running):
                    end = training.end()
                    for row in training.rows():
                        report(training.config.seed, row)
                    if end is not None:
                        ended.append(_seed_run(training.config.seed, folder, end))
                        running.remove(training)
        finally:
            for training in running:
                training.kill()
            (folder / TOKEN_NAME).unlink()
        return sorted(ended, key=lambda run: run.seed)

    def trial_workers(self, count: int) -> RayTrialWorkers:
        """So many workers for the trials of a study."""
        return RayTrialWorkers(self._ray, count)


class RayTrialWorkers:
    """Workers of a study, as :class:`agents.tuning_workers.TrialWorkers` are."""

    def __init__(self, ray: Any, count: int) -> None:
        self._ray = ray
        self._trainings = [_Training(ray, None) for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for training in self._trainings:
            training.kill()

    def __len__(self) -> int:
        return len(self._trainings)

    def begin(self, worker: int, config: TrainConfig) -> None:
        """Have an idle worker train."""
        training = self._trainings[worker]
        training.config = config
        training.begin("train_trial")

    def stop(self, worker: int) -> None:
        """Have it stop what it trains; its end is reported all the same."""
        self._trainings[worker].stop()

    def reports(
        self, busy: Sequence[int], timeout_s: float
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """What those workers have to say: ``{"row": {...}}`` at a check, ``{"end": reason}`` last.

        Raises:
            OffloadError: one of them is gone.
        """
        results = [self._trainings[worker].result for worker in busy]
        if results:
            self._ray.wait(results, timeout=timeout_s)
        for worker in busy:
            end = self._trainings[worker].end()
            for row in self._trainings[worker].rows():
                yield worker, {"row": row}
            if end == _GONE:
                raise OffloadError(
                    f"a worker of the study is gone: {_GONE}; what it has found is kept: go on "
                    "with --resume"
                )
            if end is not None:
                yield worker, {"end": end}


class _Training:
    """An actor that trains, as seen from here."""

    def __init__(self, ray: Any, config: TrainConfig | None) -> None:
        self.config: Any = config
        self.result: Any = None
        self._ray = ray
        self._number = 0
        remote = ray.remote(
            num_cpus=1,
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={"talk": 1},
            scheduling_strategy="SPREAD",
        )
        self._actor = remote(RayTrainer).remote()
        self._asked = self._ask()
        self._is_up = False

    def begin(self, method: str, *arguments: Any) -> None:
        """Train with that method of :class:`~agents.ray_trainer.RayTrainer`."""
        self._number += 1
        config = json.loads(json.dumps(dataclasses.asdict(self.config)))
        self.result = getattr(self._actor, method).remote(self._number, config, *arguments)

    def stop(self) -> None:
        """Ask for a stop at the next clean moment; what has not begun is ended at once."""
        self._look()
        if self._is_up:
            self._actor.stop.options(concurrency_group="talk").remote(self._number)
        else:
            self.kill()

    def end(self) -> str | None:
        """Why it failed, empty if it was trained; None while it trains."""
        if not self._ray.wait([self.result], timeout=0)[0]:
            return None
        try:
            return str(self._ray.get(self.result))
        except self._ray.exceptions.RayTaskError as error:
            return f"{type(error.cause).__name__}: {error.cause}"
        except self._ray.exceptions.RayError:
            return _GONE if self._is_up else "not begun"

    def rows(self) -> list[dict[str, float]]:
        """Rows of its curve that have come; all of them once it has ended."""
        if not self._ray.wait([self.result], timeout=0)[0]:
            return self._look()
        rows = []
        for _ in range(2):  # the question under way may have been answered before the last row
            self._ray.wait([self._asked], timeout=_LAST_ROWS_S)
            rows += self._look()
        return rows

    def kill(self) -> None:
        """End it at once."""
        self._ray.kill(self._actor)

    def _ask(self) -> Any:
        return self._actor.news.options(concurrency_group="talk").remote()

    def _look(self) -> list[dict[str, float]]:
        """What the question under way has brought; the next one is asked."""
        if not self._ray.wait([self._asked], timeout=0)[0]:
            return []
        try:
            rows: list[dict[str, float]] = self._ray.get(self._asked)
        except self._ray.exceptions.RayError:
            return []  # its end is told by the result
        self._is_up = True
        self._asked = self._ask()
        return rows


def _seed_run(seed: int, folder: Path, failure: str) -> SeedRun:
    run = seed_folder(folder, seed)
    if failure:
        return SeedRun(seed, run, None, failure)
    return SeedRun(seed, run, read_json(run / STATUS_NAME))
