"""Seeds of one training side by side: a process and a folder each, and a summary of all.

A seed's run is the same, to the bit, as if it had been trained alone. The processes are told to
stop through the pipe on which they report; if this process dies the pipe ends, and they stop too,
each with a checkpoint.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from agents.checkpoint import stored_checkpoints
from agents.run_directory import STATUS_NAME, read_json
from agents.train_config import TrainConfig
from offload.errors import OffloadError

_LOOK_S = 0.2
"""How often a wish to stop is looked for."""


@dataclass(frozen=True, slots=True)
class SeedRun:
    """What has become of one seed.

    Attributes:
        seed, folder: which, and where.
        status: what its run wrote at its end; None if it did not come to one.
        reason: why not; empty if it did.
    """

    seed: int
    folder: Path
    status: dict[str, Any] | None
    reason: str = ""

    @property
    def finished(self) -> bool:
        """True if it trained for as long as was asked."""
        return self.status is not None and bool(self.status.get("finished"))


def seed_folder(folder: Path, seed: int) -> Path:
    """Where a seed's run lies."""
    return folder / f"seed{seed}"


def train_seeds(
    configs: Sequence[TrainConfig],
    folder: Path,
    *,
    stop: Callable[[], bool],
    tensorboard: bool = True,
    checkpoint_every_s: float,
    report: Callable[[int, dict[str, float]], None],
) -> list[SeedRun]:
    """Train each of ``configs`` in a process of its own, as many at a time as there are cores.

    A seed whose folder holds a checkpoint goes on from it.

    Args:
        folder: holds, or is given, a folder a seed.
        stop: asked often; True stops all seeds, each with a checkpoint.
        report: is given the seed and the row of its curve at each of its checks.
    """
    waiting = deque(configs)
    running: dict[Connection, _Child] = {}
    ended: list[SeedRun] = []
    cores = len(os.sched_getaffinity(0))
    told = False
    try:
        while running or (waiting and not stop()):
            while waiting and len(running) < cores and not stop():
                child = _Child(waiting.popleft(), folder, tensorboard, checkpoint_every_s)
                running[child.pipe] = child
            if stop() and not told:
                told = True
                for child in running.values():
                    child.tell_to_stop()
            for pipe in wait(list(running), timeout=_LOOK_S):
                assert isinstance(pipe, Connection)
                child = running[pipe]
                row = child.hear()
                if row is None:
                    ended.append(child.end())
                    del running[pipe]
                elif row:
                    report(child.config.seed, row)
    finally:
        for child in running.values():
            child.kill()
    ended += [
        SeedRun(config.seed, seed_folder(folder, config.seed), None, "not begun")
        for config in waiting
    ]
    return sorted(ended, key=lambda run: run.seed)


class _Child:
    """One seed's process, and this end of its pipe."""

    def __init__(
        self, config: TrainConfig, folder: Path, tensorboard: bool, checkpoint_every_s: float
    ) -> None:
        self.config = config
        self.folder = seed_folder(folder, config.seed)
        self.folder.mkdir(exist_ok=True)
        self._error = ""
        self.pipe, other = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(
            target=_train_one,
            args=(config, self.folder, tensorboard, checkpoint_every_s, other),
            name=self.folder.name,
        )
        self._process.start()
        other.close()

    def hear(self) -> dict[str, float] | None:
        """A row of its curve; empty: something else; None: it has ended."""
        try:
            message = json.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            return None
        self._error = message.get("error", "")
        row: dict[str, float] = message.get("row", {})
        return row

    def tell_to_stop(self) -> None:
        """Ask for a stop at the next clean moment."""
        with suppress(OSError):  # it may just have ended by itself
            self.pipe.send_bytes(b"stop")

    def end(self) -> SeedRun:
        """Wait for its end and say what came of it."""
        self._process.join()
        self.pipe.close()
        code = self._process.exitcode
        seed = self.config.seed
        if self._error or code:
            return SeedRun(seed, self.folder, None, self._error or f"ended with exit code {code}")
        return SeedRun(seed, self.folder, read_json(self.folder / STATUS_NAME))

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.join()


def _train_one(
    config: TrainConfig,
    folder: Path,
    tensorboard: bool,
    checkpoint_every_s: float,
    pipe: Connection,
) -> None:
    """A seed's process: train, report on the pipe, stop when something comes from there."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the process that started this one decides
    from agents.training import train

    def report(row: dict[str, float]) -> None:
        with suppress(OSError):  # if nobody listens any more, pipe.poll will say so
            pipe.send_bytes(json.dumps({"row": row}).encode())

    goes_on = bool(stored_checkpoints(folder))
    try:
        train(
            config,
            folder.parent,
            folder=folder,
            resume=folder if goes_on else None,
            tensorboard=tensorboard,
            progress=False,
            stop=pipe.poll,
            on_check=report,
            checkpoint_every_s=checkpoint_every_s,
        )
    except (OffloadError, OSError) as error:
        pipe.send_bytes(json.dumps({"error": str(error)}).encode())
        sys.exit(2)
