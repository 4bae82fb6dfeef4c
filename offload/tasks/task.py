"""What every real task is: a seeded input, one function of bytes, and a check of its answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from offload.errors import TaskError, UnknownNameError

SIZES = ("small", "medium", "large")


class Task(ABC):
    """One kind of task that runs the same way on the device and on the edge server.

    A task takes encoded bytes and gives encoded bytes, so what is measured as its input and output
    is what travels over the network. It uses one thread.

    Attributes:
        kind: the task's name in the allow-list.
        sizes: the sizes of input it can make, from cheapest to dearest.
        max_input_bytes: a longer payload is refused before anything is decoded.
    """

    kind: ClassVar[str]
    sizes: ClassVar[tuple[str, ...]] = SIZES
    max_input_bytes: ClassVar[int]

    @abstractmethod
    def make_input(self, size: str, seed: int) -> bytes:
        """The encoded input of that size; the same bytes for the same seed.

        Raises:
            UnknownNameError: ``size`` is not one of ``sizes``.
        """

    def run(self, payload: bytes) -> bytes:
        """Do the task.

        Models load on the first call and stay loaded.

        Raises:
            TaskError: the payload is not an input of this task, or out of its bounds.
        """
        if not payload:
            raise TaskError(f"{self.kind}: the payload is empty")
        if len(payload) > self.max_input_bytes:
            raise TaskError(
                f"{self.kind}: the payload has {len(payload)} bytes; "
                f"at most {self.max_input_bytes} are taken"
            )
        return self._run(payload)

    @abstractmethod
    def _run(self, payload: bytes) -> bytes:
        """Do the task on a payload whose length has been checked."""

    @abstractmethod
    def check(self, size: str, seed: int, output: bytes) -> bool:
        """Is ``output`` a right answer to ``make_input(size, seed)``?

        Worked out from the known truth of the input, not by running the task again. A malformed
        output is a wrong answer, never an error.
        """

    def _rng(self, size: str, seed: int) -> np.random.Generator:
        """The one source of randomness of an input; sizes do not share their draws."""
        if size not in self.sizes:
            raise UnknownNameError(f"size of task {self.kind!r}", size, self.sizes)
        return np.random.default_rng([self.sizes.index(size), seed])
