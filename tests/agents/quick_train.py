"""``train.py`` with as few validation and tuning episodes as the fixture ``quick_training`` sets.

A program of its own, so that the processes that --seeds starts come by it too.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import train


def _quicken() -> None:
    import agents.thresholds
    import agents.training
    import agents.training_watch

    agents.training_watch.CHECKS = 2
    agents.training_watch.VALIDATION_LANES = 128
    agents.training.TUNING_LANES = 32
    agents.thresholds.tune_thresholds = partial(agents.thresholds.tune_thresholds, grid=3)


if __name__ != "__main__" or "--seeds" not in sys.argv:  # else it is others that train
    _quicken()
if __name__ == "__main__":
    train.cli()
