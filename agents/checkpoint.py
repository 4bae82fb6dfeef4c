"""Checkpoints of a training: files that hold all it takes to go on as if it had never stopped.

A checkpoint is one uncompressed ``.npz`` under the run's ``checkpoints/``, named after the steps
trained: arrays, and under ``facts`` a JSON object of all that is no array. It holds no code and no
pickle. The last two are kept, so that one that a failing disk has damaged costs a few seconds of
training and nothing else: training repeats to the bit, so the earlier one leads to the same end.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from agents.array_file import read_arrays, write_arrays
from offload.errors import ConfigError

FORMAT = 1
KIND = "offload training checkpoint"
FOLDER_NAME = "checkpoints"
EVERY_S = 10.0
"""Seconds between two checkpoints: what a training that is killed loses at most, and a little."""
MAX_BYTES = 1 << 30
_KEPT = 2
_FACTS = "facts"


class CheckpointError(ConfigError):
    """A checkpoint that is missing, damaged, of another version, or of another training."""


class NewerFormat(CheckpointError):
    """A checkpoint of a later version of this project: an earlier file is no way round it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One state of a training.

    Attributes:
        facts: numbers, text, lists and dictionaries, as JSON holds them.
        arrays: by name, of any shape; copies, which training does not change any more.
    """

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        facts = json.dumps({"kind": KIND, "format": FORMAT, **self.facts}).encode()
        arrays = {**self.arrays, _FACTS: np.frombuffer(facts, dtype=np.uint8)}
        write_arrays(path, arrays, sync=True)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one file.

    Raises:
        CheckpointError: missing, damaged, no checkpoint, or of another format.
    """
    arrays = read_arrays(path, MAX_BYTES, CheckpointError)
    try:
        facts = json.loads(arrays.pop(_FACTS).tobytes())
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no checkpoint, or damaged: {error!r}") from error
    if not isinstance(facts, dict) or facts.pop("kind", None) != KIND:
        raise CheckpointError(f"{path} is no checkpoint of a training")
    written = facts.pop("format", None)
    if isinstance(written, int) and written > FORMAT:
        raise NewerFormat(
            f"{path} is of format {written}, this version reads {FORMAT}: "
            "go on with the version that wrote it"
        )
    if written != FORMAT:
        raise CheckpointError(f"{path} is of format {written!r}, not {FORMAT}")
    return Checkpoint(facts, arrays)


def stored_checkpoints(run: Path) -> list[Path]:
    """A run's checkpoints, the newest first."""
    return sorted((run / FOLDER_NAME).glob("*.npz"), reverse=True)


def newest_checkpoint(run: Path) -> tuple[Checkpoint, list[str]]:
    """The newest checkpoint of a run that can be read, and a note for each that cannot.

    Raises:
        CheckpointError: there is none, or one of a later format.
    """
    notes: list[str] = []
    for path in stored_checkpoints(run):
        try:
            return read_checkpoint(path), notes
        except NewerFormat:
            raise
        except CheckpointError as error:
            notes.append(f"{error}; the one before it is used")
    if notes:
        raise CheckpointError(
            f"no checkpoint of {run} can be read: {'; '.join(n.split(';')[0] for n in notes)}"
        )
    raise CheckpointError(f"{run} holds no checkpoint, so it cannot be resumed; train anew")


class CheckpointWriter:
    """Writes a run's checkpoints from a thread of its own, while training goes on.

    Args:
        run: the run's folder.
        every_s: least time between two.
        warn: is given a line where a checkpoint could not be written; training goes on.
    """

    def __init__(self, run: Path, every_s: float, warn: Callable[[str], None]) -> None:
        self.folder = run / FOLDER_NAME
        self._every_s = every_s
        self._warn = warn
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._next_s = perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._finish()
        self._thread.shutdown()

    def due(self) -> bool:
        """True if it is time for the next, and the last is on disk."""
        return perf_counter() >= self._next_s and (self._writing is None or self._writing.done())

    def write(self, step: int, checkpoint: Checkpoint) -> None:
        """Start to write; leaving the context waits for it."""
        self._finish()
        self._writing = self._thread.submit(self._write, step, checkpoint, _KEPT)
        self._next_s = perf_counter() + self._every_s

    def write_last(self, step: int, checkpoint: Checkpoint) -> None:
        """Start to write the one that stays alone when training has ended."""
        self._finish()
        self._writing = self._thread.submit(self._write, step, checkpoint, 1)

    def _write(self, step: int, checkpoint: Checkpoint, kept: int) -> None:
        self.folder.mkdir(exist_ok=True)
        checkpoint.write(self.folder / f"{step:012d}.npz")
        for old in sorted(self.folder.glob("*.npz"), reverse=True)[kept:]:
            old.unlink(missing_ok=True)
        for left in self.folder.glob(".*.npz.*"):  # of a training that was killed as it wrote
            left.unlink(missing_ok=True)

    def _finish(self) -> None:
        """Wait for what is being written."""
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                writing.result()
        except OSError as error:
            self._warn(f"a checkpoint could not be written to {self.folder}: {error.strerror}")
