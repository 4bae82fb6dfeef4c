"""Random streams, one a purpose, so that train, validation and test data never meet."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.random import Generator


class Purpose(IntEnum):
    """What a stream of scenarios is for."""

    TRAIN = 1
    VALIDATE = 2
    """Choosing among checkpoints and watching training."""
    TUNE = 3
    """Tuning the thresholds."""
    TEST = 4
    """What is reported. Nothing is ever chosen by it."""


def stream(purpose: Purpose, seed: int) -> Generator:
    """The generator of that purpose and seed; different purposes never share a stream."""
    return np.random.default_rng([int(purpose), seed])
