"""What each switch of the world contributes: ``python benchmarks/ablation.py``.

Trains PPO in the full world, with each switch off, with each alone on and with all off, always for
equally many steps, and evaluates policies on test scenarios of the same world. The distance between
policies is what there is to learn; a switch contributes what is lost of it without that switch.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from envs.switches import SWITCHES
from offload.errors import ConfigError, OffloadError

MEASURED = Path(__file__).resolve().parents[1] / "docs" / "measured" / "ablation.json"
THRESHOLD = "best threshold"


@dataclass(frozen=True)
class Options:
    """Train and evaluate in every variant of the world; or show the results that ship."""

    steps: Annotated[int, tyro.conf.arg(metavar="N")] = 600_000
    """Steps of training in each."""
    decisions: Annotated[int, tyro.conf.arg(metavar="N")] = 50_000
    """Test decisions in each."""
    seed: int = 0
    """Seed of training and of the test scenarios."""
    json: Annotated[Path, tyro.conf.arg(metavar="FILE")] = MEASURED
    """Where the figures go, or come from."""
    go_on: bool = False
    """Keep the worlds that are in that file already; the settings must be the same."""
    show: bool = False
    """Only print the table of what is in that file."""


def variants() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each world's name and what is switched off in it."""
    yield "full", ()
    for name in SWITCHES:
        yield f"without {name}", (name,)
    for name in SWITCHES:
        yield f"only {name}", tuple(other for other in SWITCHES if other != name)
    yield "none", tuple(SWITCHES)


def study(without: tuple[str, ...], options: Options, runs: Path) -> dict[str, Any]:
    """Train and evaluate in one world; intervals are [value, low, high]."""
    from agents.bundle import BundlePolicy
    from agents.maui_policy import MauiPolicy
    from agents.scores import bootstrap_counts, mean_interval
    from agents.simulation import simulate
    from agents.thresholds import threshold_from_dict
    from agents.training import TrainConfig, train
    from envs.config import EnvConfig
    from envs.streams import Purpose, stream
    from offload.interfaces import Policy
    from offload.tasks.profile_table import load_profile_table

    world = EnvConfig(without=without)
    config = TrainConfig(seed=options.seed, steps=options.steps, env=world)
    bundle = train(config, runs, tensorboard=False, progress=False).bundle
    rules = [threshold_from_dict(rule) for rule in bundle.thresholds]
    policies: list[Policy] = [
        *rules,
        MauiPolicy(world.objective, sees_truth=False),
        BundlePolicy(bundle),
        MauiPolicy(world.objective, sees_truth=True),
    ]
    played, scenario, _ = simulate(
        policies, world, load_profile_table(), options.decisions, options.seed
    )
    best = min((rule.name for rule in rules), key=lambda name: played.scores[name].cost.value)
    names = {THRESHOLD: best, **{name: name for name in ("maui-measured", "ppo", "maui-true")}}
    counts = bootstrap_counts(scenario.links.profile, stream(Purpose.RESAMPLE, options.seed))
    costs = {name: roll.cost.mean(axis=0) for name, roll in played.rollouts.items()}
    return {
        "without": list(without),
        "decisions": played.decisions,
        "policies": {
            shown: {
                "name": name,
                "accuracy": played.scores[name].accuracy.as_list(),
                "cost": played.scores[name].cost.as_list(),
                "regret_maui_true": played.scores[name].regret_maui_true.as_list(),
            }
            for shown, name in names.items()
        },
        "ppo_above_maui_measured": mean_interval(
            costs["ppo"] - costs["maui-measured"], counts
        ).as_list(),
    }


def show(found: dict[str, Any]) -> None:
    """Print the table, as it stands in the documents."""
    print(
        f"PPO: {found['steps']:,} steps in each world, training seed {found['seed']}; regret: cost "
        "above maui-true's in 1/1000 of all-local, with 95 % intervals over test scenarios\n"
    )
    print("| world | threshold | maui-measured | ppo | ppo less maui-measured | accuracy % |")
    print("| --- | ---: | --- | --- | --- | --- |")
    for world, result in found["worlds"].items():
        regret = {name: each["regret_maui_true"] for name, each in result["policies"].items()}
        right = {name: each["accuracy"][0] for name, each in result["policies"].items()}
        print(
            f"| {world} | {1e3 * regret[THRESHOLD][0]:.0f} | {_text(regret['maui-measured'])} "
            f"| {_text(regret['ppo'])} | {_text(result['ppo_above_maui_measured'])} "
            f"| {right['maui-measured']:.1%}, {right['ppo']:.1%} |".replace("%,", ",")
        )


def _text(interval: list[float]) -> str:
    value, low, high = (1e3 * number for number in interval)
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def main(options: Options) -> None:
    """Run the study, or show what it found."""
    from agents.run_directory import origin, read_json, write_json

    if options.show:
        show(read_json(options.json))
        return
    settings = {"steps": options.steps, "decisions": options.decisions, "seed": options.seed}
    found: dict[str, Any] = {**settings, "worlds": {}, **origin()}
    if options.go_on:
        found = read_json(options.json)
        if {name: found.get(name) for name in settings} != settings:
            raise ConfigError(f"{options.json} was made with other settings than {settings}")
    with tempfile.TemporaryDirectory() as runs:
        for name, without in variants():
            if name not in found["worlds"]:
                found["worlds"][name] = study(without, options, Path(runs))
                write_json(options.json, found)
                print(f"{name}: done", file=sys.stderr, flush=True)
    show(found)


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except OffloadError as error:
        raise SystemExit(f"ablation: {error}") from error
