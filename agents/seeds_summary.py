"""What several seeds of one training came to, and where that is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.run_directory import STATUS_NAME, origin, read_json, write_json
from agents.seeds import SeedRun, seed_folder
from agents.train_config import TrainConfig, config_of
from offload.errors import ConfigError

SEEDS_NAME = "seeds.json"
SUMMARY_NAME = "summary.json"


def write_plan(folder: Path, configs: Sequence[TrainConfig]) -> None:
    """Write down which seeds are to be trained, so that those not begun can be resumed too."""
    plan = {"config": dataclasses.asdict(configs[0]), "seeds": [each.seed for each in configs]}
    write_json(folder / SEEDS_NAME, {**plan, "origin": origin()})


def is_plan(folder: Path) -> bool:
    """True of a folder of seeds."""
    return (folder / SEEDS_NAME).is_file()


def planned(folder: Path, steps: int | None) -> list[TrainConfig]:
    """The settings of each seed of a folder, with other steps if they are given.

    Raises:
        ConfigError: the plan cannot be read.
    """
    plan = read_json(folder / SEEDS_NAME)
    config = config_of(plan.get("config"), steps, folder / SEEDS_NAME)
    seeds = plan.get("seeds")
    if not isinstance(seeds, list) or not seeds or not all(isinstance(n, int) for n in seeds):
        raise ConfigError(f"{folder / SEEDS_NAME} is damaged: seeds are {seeds!r}")
    return [replace(config, seed=seed) for seed in seeds]


def split_done(
    configs: Sequence[TrainConfig], folder: Path
) -> tuple[list[TrainConfig], list[SeedRun]]:
    """Which seeds are still to be trained, and the runs of those that are done."""
    rest, done = [], []
    for config in configs:
        place = seed_folder(folder, config.seed)
        status = read_json(place / STATUS_NAME) if (place / STATUS_NAME).is_file() else {}
        if status.get("finished") and status.get("steps", 0) >= config.total_steps:
            done.append(SeedRun(config.seed, place, status))
        else:
            rest.append(config)
    return rest, done


def summarise(runs: Sequence[SeedRun]) -> dict[str, Any]:
    """What the seeds that came to an end have in common: interquartile means, and the best.

    The intervals are 95 % bootstrap intervals over seeds, as wide as so few seeds leave them.
    """
    import numpy as np

    from agents.scores import bootstrap_counts, trimmed_interval
    from envs.streams import Purpose, stream

    ended = [(run, run.status["validation"]) for run in runs if run.status is not None]
    summary: dict[str, Any] = {
        "seeds": [
            {
                "seed": run.seed,
                "folder": run.folder.name,
                "finished": run.finished,
                "reason": run.reason,
                **({} if run.status is None else run.status),
            }
            for run in runs
        ],
    }
    if ended:
        counts = bootstrap_counts(np.zeros(len(ended), dtype=int), stream(Purpose.RESAMPLE, 0))
        for name in ("accuracy", "cost"):
            values = np.array([validation[name] for _, validation in ended])
            summary[f"{name}_iqm"] = trimmed_interval(values, counts).as_list()
        summary["best"] = min(ended, key=lambda each: each[1]["cost"])[0].seed
    return summary


def print_summary(summary: dict[str, Any]) -> None:
    """Print a line a seed, and what they come to."""
    for each in summary["seeds"]:
        if "validation" not in each:
            print(f"seed {each['seed']}: {each['reason']}")
            continue
        found = each["validation"]
        print(
            f"seed {each['seed']}: accuracy {found['accuracy']:.1%}, cost {found['cost']:.4f} "
            f"on validation scenarios, weights of step {found['step']:,}, "
            f"{each['training_seconds']:.1f} s{'' if each['finished'] else ', interrupted'}"
        )
    if "best" in summary:
        accuracy, cost = summary["accuracy_iqm"], summary["cost_iqm"]
        print(
            f"interquartile means: accuracy {accuracy[0]:.1%} [{accuracy[1]:.1%}, "
            f"{accuracy[2]:.1%}], cost {cost[0]:.4f} [{cost[1]:.4f}, {cost[2]:.4f}]; "
            f"least validation cost: seed {summary['best']}"
        )


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Write it into the folder of seeds."""
    write_json(folder / SUMMARY_NAME, summary)
