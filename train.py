"""Train an offloading agent: ``python train.py``.

Trains PPO on the simulated environment over a mixture of all network profiles, in half a minute to
a minute on two cores, and writes a folder under runs/. Watch it with ``make tensorboard``.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from offload.errors import ConfigError, OffloadError
from offload.link_profiles import get_profile
from offload.types import Objective

if TYPE_CHECKING:
    from envs.config import EnvConfig


@dataclass(frozen=True)
class TrainOptions:
    """Train an agent that decides, task by task: here, or on the edge server?"""

    algo: str = "ppo"
    """ppo, dqn, or a2c (stable-baselines3)."""
    objective: Literal["latency", "energy", "mixed"] = "mixed"
    """What to minimise: completion time, the device's energy (modelled), or half of each."""
    profile: str | None = None
    """Train on one network profile, a comma-separated few, or all of them (the default)."""
    traces: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Instead of profiles: train on the measured links in the files of this folder."""
    trace_base: str = "lte"
    """Profile that what a trace lacks is taken from (delay, loss, a direction)."""
    without: Annotated[str | None, tyro.conf.arg(metavar="NAME,...")] = None
    """Switch off what makes the world hard: docs/environment.md names it."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Decisions to train on. Default: 2,000,000 (dqn: 1,500,000), half a minute to a minute."""
    seed: int = 0
    """Seed of weights, exploration and training scenarios."""
    lanes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Episodes side by side. Default: 1024 (dqn: 256)."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Go on from the weights of this run folder, with its settings; --steps may be given."""
    out: Path = Path("runs")
    """Where run folders go."""
    tensorboard: bool = True
    """Write TensorBoard events into the run folder."""


def main(options: TrainOptions) -> int:
    """Train as asked; returns the exit code."""
    from agents.run_directory import make_folder
    from agents.training import TrainConfig, resumed_config

    if options.resume is not None:
        _check_resumed(options)
        config = resumed_config(options.resume, options.steps)
    else:
        world = _world(options)
        config = TrainConfig(options.algo, options.seed, options.steps, options.lanes, world)
    make_folder(options.out)
    try:
        # torch and stable-baselines3 take seconds to import, so only now.
        from agents.training import train
    except ImportError as error:
        raise ConfigError(
            f"the package {error.name!r} is missing; pip install -r requirements.txt"
        ) from error

    world = config.env
    where = f"{len(world.traces)} measured links" if world.traces else ", ".join(world.profiles)
    print(
        f"training {config.algo} on {where}; objective "
        f"{config.env.objective}; {config.total_steps:,} steps; seed {config.seed}",
        flush=True,
    )
    result = train(config, options.out, resume=options.resume, tensorboard=options.tensorboard)
    verb = "interrupted after" if result.interrupted else "trained"
    print(
        f"{verb} {result.steps:,} steps in {result.seconds:.1f} s "
        f"({result.steps / result.seconds:,.0f} steps/s); accuracy against maui-true on "
        f"validation scenarios: {result.accuracy:.1%}"
    )
    print(f"run: {result.folder}")
    if result.interrupted:
        print(f"go on: python train.py --resume {result.folder}")
        return 130
    print(f"evaluate: python evaluate.py --profile congested --run {result.folder}")
    return 0


def _world(options: TrainOptions) -> EnvConfig:
    """The world to train in.

    Raises:
        ConfigError: both profiles and traces, no such profile, or a trace that cannot be read.
    """
    from agents.chosen_links import choose_links
    from envs.config import EnvConfig
    from envs.switches import parse_switches

    world = EnvConfig(
        objective=Objective(options.objective),
        trace_base=options.trace_base,
        without=parse_switches(options.without),
    )
    if options.traces is not None:
        links = choose_links(options.profile, None, options.traces, options.trace_base)
        for note in links.notes():
            print(f"train.py: {note}")
        return replace(world, traces=links.trace_files)
    if options.profile in (None, "all"):
        return world
    names = tuple(get_profile(name.strip()).name for name in options.profile.split(","))
    return replace(world, profiles=names)


def _check_resumed(options: TrainOptions) -> None:
    """A resumed run keeps its settings; asking for others must not pass in silence."""
    for name in (
        "algo",
        "objective",
        "profile",
        "traces",
        "trace_base",
        "without",
        "seed",
        "lanes",
    ):
        if getattr(options, name) != getattr(TrainOptions(), name):
            word = name.replace("_", "-")
            raise ConfigError(f"--{word} comes from the run that is resumed; leave it out")


def _terminate(signum: int, frame: object) -> None:
    """SIGTERM is taken like Ctrl-C: what has been trained so far is kept."""
    raise KeyboardInterrupt


def cli() -> None:
    """Entry point: errors of the project are one line and exit code 2."""
    options = tyro.cli(TrainOptions, description=__doc__)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = main(options)
    except OffloadError as error:
        print(f"train.py: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("train.py: interrupted outside of training; nothing was kept", file=sys.stderr)
        code = 130
    except OSError as error:
        print(f"train.py: {error}", file=sys.stderr)
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    cli()
