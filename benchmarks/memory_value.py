"""What is a memory of the link worth? ``python benchmarks/memory_value.py``.

The observation holds the last probe, what earlier probes said, and how the last remote run went.
Here boosted trees, as strong as the sample allows, learn the better placement of each decision from
the first alone, and with each of the others. What they gain is what it is worth to any policy that
looks one decision ahead. Needs ``requirements-imitation.txt``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from offload.errors import ConfigError, OffloadError
from offload.types import FloatArray, IntArray

if TYPE_CHECKING:
    from envs.config import EnvConfig


@dataclass(frozen=True)
class Options:
    """Compare decisions learned with and without a memory of the link."""

    train: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Measured links to learn on; by default profiles."""
    test: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Measured links to test on; by default profiles."""
    episodes: int = 3000
    """Episodes of 64 decisions, to learn on and again to test on."""
    seed: int = 0
    """Of everything drawn."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Decisions on the way of maui-measured, a row each.

    Attributes:
        observed: raw features, as in the observation.
        gain: cost of the device less that of the edge, each at most the cap.
        optimum: maui-true's choice.
        chosen: maui-measured's.
    """

    observed: FloatArray
    gain: FloatArray
    optimum: IntArray
    chosen: IntArray


def sampled(config: EnvConfig, options: Options, part: int) -> Sample:
    """Play maui-measured and keep what it could have known."""
    from envs.dynamics import OffloadDynamics
    from envs.scenario import draw_scenario
    from envs.workload import WorkloadTable
    from offload.features import raw_features
    from offload.oracle import maui_placement
    from offload.tasks.profile_table import load_profile_table

    table = WorkloadTable.of(load_profile_table(), config.workload)
    rng = np.random.default_rng([options.seed, part])
    dynamics = OffloadDynamics(draw_scenario(rng, config, table, options.episodes), config)
    observed, gain, optimum, chosen = [], [], [], []
    while not dynamics.done:
        context = dynamics.measured_context()
        observed.append(raw_features(context, config.objective))
        chosen.append(maui_placement(context, config.objective))
        result = dynamics.step(chosen[-1])
        gain.append(result.local_cost - result.edge_cost)
        optimum.append(result.optimum)
    return Sample(
        np.concatenate(observed),
        np.concatenate(gain),
        np.concatenate(optimum),
        np.concatenate(chosen),
    )


def main(options: Options) -> None:
    """Learn, test, print."""
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError as error:
        raise ConfigError(
            f"the package {error.name!r} is missing; pip install -r requirements-imitation.txt"
        ) from error
    from agents.chosen_links import choose_links
    from envs.config import EnvConfig
    from offload.features import FEATURE_NAMES, REMEMBERED

    worlds = [
        EnvConfig(traces=choose_links(None, None, folder, "lte").trace_files)
        if folder
        else EnvConfig()
        for folder in (options.train, options.test)
    ]
    train, test = (sampled(world, options, part) for part, world in enumerate(worlds))

    def line(name: str, choice: IntArray) -> None:
        right = 100 * (choice == test.optimum).mean()
        lost = np.where(choice == 1, np.maximum(-test.gain, 0.0), np.maximum(test.gain, 0.0))
        print(f"| {name} | {right:.2f} | {1e3 * lost.mean():.2f} |", flush=True)

    print(f"learned on {len(train.gain):,} decisions, tested on {len(test.gain):,}\n")
    print(
        "| decided by | accuracy % | cost above the better placement x 1000 |\n| --- | --- | --- |"
    )
    line("maui-measured", test.chosen)
    line("maui-true", test.optimum)
    present = FEATURE_NAMES.index(REMEMBERED[0])
    probes = FEATURE_NAMES.index("run_upload")
    views = {
        "the last probe": slice(present),
        "and the probes before": slice(probes),
        "and the last remote run": slice(None),
    }
    for aim, wanted, weight in (
        ("cost", train.gain > 0, np.abs(train.gain)),
        ("accuracy", train.optimum, None),
    ):
        for name, columns in views.items():
            trees = HistGradientBoostingClassifier(
                max_iter=200, min_samples_leaf=200, early_stopping=True, random_state=0
            )
            trees.fit(train.observed[:, columns], wanted, weight)
            line(f"{name}, for {aim}", trees.predict(test.observed[:, columns]))


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except OffloadError as error:
        raise SystemExit(f"memory_value: {error}") from error
