"""Would a memory of the link help to decide? ``python benchmarks/memory_value.py``.

A policy sees the last probe alone. Here boosted trees, as strong as the sample allows, learn the
better placement of each decision from the observation, and from the observation with what a device
could remember: means of earlier probes, how much these differed, the step between the last two, and
how the last remote run's transfers compared with their prediction. What the memory gains is its
worth to any policy that looks one decision ahead. Needs ``requirements-imitation.txt``.
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
    from envs.scenario import Scenario

MEMORY_S = 20.0
"""An earlier probe's weight falls by 1/e in this time."""
NEVER_S = 1000.0


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
        remembered: what the device could remember besides.
        gain: cost of the device less that of the edge, each at most the cap.
        optimum: maui-true's choice.
        chosen: maui-measured's.
    """

    observed: FloatArray
    remembered: FloatArray
    gain: FloatArray
    optimum: IntArray
    chosen: IntArray


def remembered(scenario: Scenario) -> FloatArray:
    """What earlier probes say, shape (steps, lanes, features)."""
    link = scenario.links.measured
    values = np.log([link.uplink_bps, link.downlink_bps, link.rtt_s])
    at_s = np.cumsum(scenario.work.gap_s, axis=0) - link.age_s
    last, last_s = values[:, 0], at_s[0]
    before, before_s = last, last_s
    recent, weight = last.copy(), np.ones_like(last_s)
    total, squares, count = last.copy(), last**2, np.ones_like(last_s)
    rows = []
    for step in range(scenario.steps):
        # A probe that several decisions share counts once.
        new = at_s[step] > last_s + 1e-9
        now = values[:, step]
        keep = np.exp((last_s - at_s[step]) / MEMORY_S)
        recent = np.where(new, keep * recent + now, recent)
        weight = np.where(new, keep * weight + 1.0, weight)
        total, squares = total + new * now, squares + new * now**2
        count = count + new
        before, before_s = np.where(new, last, before), np.where(new, last_s, before_s)
        last, last_s = np.where(new, now, last), np.where(new, at_s[step], last_s)
        mean = total / count
        spread = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
        rows.append([*(recent / weight - last), *(mean - last), *spread, *(before - last)])
        rows[-1] += [last_s - before_s, count]
    return np.moveaxis(np.array(rows), 1, -1)


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
    scenario = draw_scenario(rng, config, table, options.episodes)
    dynamics = OffloadDynamics(scenario, config)
    true, predicted = scenario.true_moved, scenario.predicted_moved
    met = np.log([true.upload_s / predicted.upload_s, true.download_s / predicted.download_s])
    last_met, met_ago_s = np.zeros((2, options.episodes)), np.full(options.episodes, NEVER_S)
    observed, runs, gain, optimum, chosen = [], [], [], [], []
    while not dynamics.done:
        step = dynamics.step_index
        context = dynamics.measured_context()
        observed.append(raw_features(context, config.objective))
        runs.append(np.array([*last_met, met_ago_s]).T)
        chosen.append(maui_placement(context, config.objective))
        result = dynamics.step(chosen[-1])
        gain.append(result.local_cost - result.edge_cost)
        optimum.append(result.optimum)
        came_back = (chosen[-1] == 1) & (result.fell_back == 0.0)
        last_met = np.where(came_back, met[:, step], last_met)
        gap_s = 0.0 if dynamics.done else scenario.work.gap_s[step + 1]
        met_ago_s = np.where(came_back, 0.0, met_ago_s) + gap_s
    memory = np.concatenate([remembered(scenario), np.array(runs)], axis=-1)
    return Sample(
        np.concatenate(observed),
        memory.reshape(-1, memory.shape[-1]),
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
    views = {
        "the observation": (train.observed, test.observed),
        "observation and memory": (
            np.hstack([train.observed, train.remembered]),
            np.hstack([test.observed, test.remembered]),
        ),
    }
    for aim, wanted, weight in (
        ("cost", train.gain > 0, np.abs(train.gain)),
        ("accuracy", train.optimum, None),
    ):
        for name, (seen, shown) in views.items():
            trees = HistGradientBoostingClassifier(
                max_iter=200, min_samples_leaf=200, early_stopping=True, random_state=0
            )
            line(f"{name}, for {aim}", trees.fit(seen, wanted, weight).predict(shown))


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except OffloadError as error:
        raise SystemExit(f"memory_value: {error}") from error
