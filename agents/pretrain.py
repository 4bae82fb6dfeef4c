"""Trains the bundles that ship: ``python -m agents.pretrain``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agents.policies import PRETRAINED
from agents.training import TrainConfig, train
from envs.config import EnvConfig
from offload.types import Objective

SHIPPED = ("ppo", "dqn")


def main() -> None:
    """Train each shipped algorithm for each objective, seed 0, and replace its bundle."""
    with tempfile.TemporaryDirectory() as runs:
        for algorithm in SHIPPED:
            for objective in Objective:
                config = TrainConfig(algo=algorithm, env=EnvConfig(objective=objective))
                result = train(config, Path(runs), tensorboard=False)
                folder = PRETRAINED / f"{algorithm}-{objective}"
                result.bundle.save(folder)
                print(f"{folder.name}: {result.accuracy:.1%} on validation scenarios", flush=True)


if __name__ == "__main__":
    main()
