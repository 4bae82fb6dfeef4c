"""Which links to train on: ``python benchmarks/measured_links.py --train DIR --val DIR``.

Trains PPO on profiles alone, on both profiles and measured links in some shares, and on measured
links alone, equally long, and evaluates each on other measured links and on the profiles. The
measured links to evaluate on are for choosing; what is to be reported needs others again.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:
    from agents.bundle import PolicyBundle
    from envs.config import EnvConfig

MEASURED = Path(__file__).resolve().parents[1] / "docs" / "measured" / "measured-links.json"


@dataclass(frozen=True)
class Options:
    """Compare what to train on."""

    train: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Measured links to train on."""
    val: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Measured links to choose by."""
    shares: tuple[float, ...] = (0.0, 0.3, 0.6, 1.0)
    """Shares of training episodes on measured links."""
    seeds: int = 2
    """Trainings of each."""
    steps: Annotated[int, tyro.conf.arg(metavar="N")] = 1_000_000
    """Steps of each training."""
    decisions: Annotated[int, tyro.conf.arg(metavar="N")] = 100_000
    """Decisions of each evaluation."""
    json: Annotated[Path, tyro.conf.arg(metavar="FILE")] = MEASURED
    """Where the figures go."""


def trained(options: Options, share: float, seed: int, files: tuple[str, ...]) -> PolicyBundle:
    """PPO trained with this share of episodes on measured links."""
    from agents.train_config import TrainConfig
    from agents.training import train
    from envs.config import EnvConfig

    world = EnvConfig() if share == 0.0 else EnvConfig(traces=files, trace_share=share)
    config = TrainConfig(seed=seed, steps=options.steps, env=world)
    with tempfile.TemporaryDirectory() as runs:
        return train(config, Path(runs), tensorboard=False, progress=False).bundle


def evaluated(
    bundles: dict[str, PolicyBundle], world: EnvConfig, decisions: int
) -> dict[str, dict[str, list[float]]]:
    """Accuracy, cost and regret of each on the same validation scenarios, with intervals."""
    from agents.bundle import BundlePolicy
    from agents.maui_policy import MauiPolicy
    from agents.rollout import roll_out
    from agents.simulation import score_all
    from envs.scenario import draw_scenario
    from envs.streams import Purpose, stream
    from envs.workload import WorkloadTable
    from offload.interfaces import Policy
    from offload.tasks.profile_table import load_profile_table

    rows = WorkloadTable.of(load_profile_table(), world.workload)
    lanes = decisions // world.episode_tasks
    scenario = draw_scenario(stream(Purpose.VALIDATE, 1), world, rows, lanes)
    policies: dict[str, Policy] = {
        **{name: BundlePolicy(bundle) for name, bundle in bundles.items()},
        "maui-measured": MauiPolicy(world.objective, sees_truth=False),
        "maui-true": MauiPolicy(world.objective, sees_truth=True),
    }
    rollouts = {name: roll_out(policy, scenario, world) for name, policy in policies.items()}
    scores = score_all(rollouts, scenario.links.profile, 0).scores
    return {
        name: {
            "accuracy": score.accuracy.as_list(),
            "cost": score.cost.as_list(),
            "regret_maui_true": score.regret_maui_true.as_list(),
        }
        for name, score in scores.items()
    }


def main(options: Options) -> None:
    """Train all, evaluate all on the same scenarios, print and write."""
    from agents.chosen_links import choose_links
    from agents.run_directory import origin, write_json
    from envs.config import EnvConfig

    to_train, to_choose = (
        choose_links(None, None, folder, "lte").trace_files
        for folder in (options.train, options.val)
    )
    bundles = {}
    for share in options.shares:
        for seed in range(options.seeds):
            bundles[f"{share:.0%} measured, seed {seed}"] = trained(options, share, seed, to_train)
            print(f"trained: {share:.0%}, seed {seed}", file=sys.stderr, flush=True)
    world = EnvConfig()
    found: dict[str, Any] = {
        "measured": evaluated(bundles, replace(world, traces=to_choose), options.decisions),
        "profiles": evaluated(bundles, world, options.decisions),
    }
    print("| trained on | measured links: accuracy % | regret x 1000 | profiles: | |")
    print("| --- | --- | --- | --- | --- |")
    for name in found["measured"]:
        cells = []
        for where in ("measured", "profiles"):
            score = found[where][name]
            low, high = (1e3 * edge for edge in score["regret_maui_true"][1:])
            cells.append(f"{100 * score['accuracy'][0]:.2f}")
            cells.append(f"{1e3 * score['regret_maui_true'][0]:.2f} [{low:.2f}, {high:.2f}]")
        print(f"| {name} | {' | '.join(cells)} |")
    facts = {"steps": options.steps, "links": [len(to_train), len(to_choose)], **origin()}
    write_json(options.json, {**facts, **found})


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
