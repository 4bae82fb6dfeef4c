"""Trains the trials of a study in processes of their own, one a core.

A worker is told on a pipe what to train and reports each check there. Anything else on the pipe,
its end too, means that it should stop; so workers do not outlive the process that started them.
"""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Self

from agents.train_config import TrainConfig, config_of
from offload.errors import OffloadError


class TrialWorkers:
    """Processes that train, each one trial at a time.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._processes = []
        self._pipes: list[Connection] = []
        context = multiprocessing.get_context("spawn")
        for number in range(count):
            pipe, other = multiprocessing.Pipe()
            process = context.Process(target=_work, args=(other,), name=f"tune{number}")
            process.start()
            other.close()
            self._processes.append(process)
            self._pipes.append(pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=60)
            if process.is_alive():
                process.kill()
                process.join()

    def __len__(self) -> int:
        return len(self._pipes)

    def begin(self, worker: int, config: TrainConfig) -> None:
        """Have an idle worker train.

        Raises:
            OffloadError: it is gone.
        """
        job = {"config": json.loads(json.dumps(dataclasses.asdict(config)))}
        try:
            self._pipes[worker].send_bytes(json.dumps(job).encode())
        except OSError:
            raise self._gone(worker) from None

    def stop(self, worker: int) -> None:
        """Have it stop what it trains; its end is reported all the same."""
        try:
            self._pipes[worker].send_bytes(b"{}")
        except OSError:
            raise self._gone(worker) from None

    def reports(
        self, busy: Sequence[int], timeout_s: float
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """What those workers have to say: ``{"row": {...}}`` at a check, ``{"end": reason}`` last.

        Raises:
            OffloadError: one of them is gone.
        """
        pipes = {self._pipes[worker]: worker for worker in busy}
        for pipe in wait(list(pipes), timeout=timeout_s):
            assert isinstance(pipe, Connection)
            try:
                yield pipes[pipe], json.loads(pipe.recv_bytes())
            except (EOFError, OSError):
                raise self._gone(pipes[pipe]) from None

    def _gone(self, worker: int) -> OffloadError:
        process = self._processes[worker]
        process.join(timeout=5)
        return OffloadError(
            f"a worker of the study ended with exit code {process.exitcode} (killed for memory, "
            "perhaps); what it has found is kept: go on with --resume"
        )


def _work(pipe: Connection) -> None:
    """A worker: train what is asked for until the pipe ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the process that started this one decides
    from agents.training import train

    def say(message: dict[str, Any]) -> None:
        pipe.send_bytes(json.dumps(message).encode())

    while True:
        try:
            job = json.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        if "config" not in job:  # a wish to stop what had just ended
            continue
        reason = ""
        try:
            with tempfile.TemporaryDirectory(prefix="offload-tune-") as folder:
                train(
                    config_of(job["config"], None, Path("the study")),
                    Path(folder),
                    tensorboard=False,
                    progress=False,
                    stop=pipe.poll,
                    on_check=lambda row: say({"row": row}),
                    checkpoint_every_s=math.inf,
                )
        except BrokenPipeError:
            return
        except (OffloadError, OSError) as error:
            reason = str(error)
        try:
            say({"end": reason})
        except OSError:
            sys.exit(2)
