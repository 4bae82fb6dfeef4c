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
    RESAMPLE = 5
    """The bootstrap's resamples."""


_MARK = 1
"""Last word of every stream's seed; any number but 0."""


def stream(purpose: Purpose, seed: int) -> Generator:
    """The generator of that purpose and seed; different purposes never share a stream."""
    # NumPy pads a seed with zeros, so [4, 0] alone is the seed 4 that a user may give an env.
    return np.random.default_rng([int(purpose), seed, _MARK])
