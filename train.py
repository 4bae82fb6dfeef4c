"""Train an offloading agent: ``python train.py``.

Trains PPO on the simulated environment over a mixture of all network profiles, in half a minute to
a minute on two cores, and writes a folder under runs/. Watch it with ``make tensorboard``.
"""

from __future__ import annotations

import signal
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from offload.errors import ConfigError, OffloadError
from offload.link_profiles import get_profile
from offload.types import Objective

if TYPE_CHECKING:
    from agents.launcher import Launcher
    from agents.train_config import TrainConfig
    from envs.config import EnvConfig

_INTERRUPTED = 130
_COLLAPSED = """\
train.py: WARNING: the policy has collapsed: it answers the same to all validation scenarios but for
one decision in a thousand at most. It has learned nothing of links and tasks, unless in this world
one side is always right. Train longer, with another --seed, or with other --params."""


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
    trace_share: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 1.0
    """With --traces: share of episodes on these; the others use the profiles."""
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
    seeds: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """Train so many seeds, from --seed on, side by side on the cores."""
    launcher: Literal["process", "ray"] = "process"
    """Where --seeds and --tune train: processes of this machine, or nodes of a Ray cluster."""
    ray_address: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """With --launcher ray: the cluster's head."""
    calibrate: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN")] = ()
    """Train nothing: refit the simulator to this machine from these live runs' folders."""
    calibration: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """What --calibrate wrote: train on tasks, server and transfers as they are on this machine."""
    params: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Hyper-parameters (and lanes) from this file, as --tune writes it."""
    tune: bool = False
    """Search for hyper-parameters, by validation cost; --steps is each trial's."""
    trials: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """With --tune: trials in all. Default: 30."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Go on with this run, seeds or study as if it had never stopped; --steps, --trials extend."""
    checkpoint_every: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 10.0
    """Time between checkpoints: what a training that is killed loses at most."""
    out: Path = Path("runs")
    """Where run folders go."""
    tensorboard: bool = True
    """Write TensorBoard events into the run folder."""


def main(options: TrainOptions) -> int:
    """Train as asked; returns the exit code."""
    from agents.launcher import make_launcher

    for name, least in (("seeds", 1), ("checkpoint_every", 0)):
        value = getattr(options, name)
        if not value >= least:
            word = name.replace("_", "-")
            raise ConfigError(f"--{word} is {value}; it must be at least {least}")
    if options.trials is not None and options.trials < 1:
        raise ConfigError(f"--trials is {options.trials}; it must be at least 1")
    if options.calibrate:
        return _calibrate(options)
    with closing(make_launcher(options.launcher, options.ray_address)) as launcher:
        return _train_all(options, launcher)


def _train_all(options: TrainOptions, launcher: Launcher) -> int:
    """Train what the options name: one seed, several, or a study."""
    from agents.chosen_links import links_in_words
    from agents.run_directory import make_folder
    from agents.seeds_summary import is_plan, planned
    from agents.train_config import resumed_config
    from agents.tuning_plan import is_study

    if options.resume is not None:
        _check_resumed(options)
        if is_study(options.resume):
            from agents.tuning_command import resume_study

            ended = resume_study(options.resume, options.trials, options.steps, launcher)
            return 0 if ended else _INTERRUPTED
        many = is_plan(options.resume)
        read = planned if many else resumed_config
        found = read(options.resume, options.steps)
        configs = found if isinstance(found, list) else [found]
    else:
        config = _config(options)
        if options.tune:
            from agents.tuning_command import tune

            make_folder(options.out)
            return 0 if tune(config, options.trials, options.out, launcher) else _INTERRUPTED
        configs = [replace(config, seed=options.seed + n) for n in range(options.seeds)]
        many = len(configs) > 1
        make_folder(options.out)

    if not many and options.launcher != "process":
        raise ConfigError(f"--launcher {options.launcher} is for --seeds and --tune")
    config, world = configs[0], configs[0].env
    where = links_in_words(", ".join(world.profiles), len(world.traces), world.trace_share)
    print(
        f"training {config.algo} on {where}; objective "
        f"{config.env.objective}; {config.total_steps:,} steps; "
        f"seed{'s' if many else ''} {', '.join(str(each.seed) for each in configs)}",
        flush=True,
    )
    return _train_seeds(options, configs, launcher) if many else _train(options, config)


def _calibrate(options: TrainOptions) -> int:
    """Refit the simulator to live runs."""
    from rich.console import Console

    from evidence.agreement.calibrate_command import calibrate

    for name in ("resume", "calibration"):
        if getattr(options, name) is not None:
            raise ConfigError(f"--calibrate trains nothing: leave out --{name}")
    console = Console(width=None if sys.stdout.isatty() else 100)
    file = calibrate(options.calibrate, options.out, console)
    print(f"calibration: {file}")
    print(f"train: python train.py --calibration {file}")
    print(f"evaluate: python evaluate.py --calibration {file}")
    return 0


def _train(options: TrainOptions, config: TrainConfig) -> int:
    """Train one seed."""
    from agents.stop_signal import StopSignal

    try:
        # torch and stable-baselines3 take seconds to import, so only now.
        from agents.training import train
    except ImportError as error:
        raise ConfigError(
            f"the package {error.name!r} is missing; pip install -r requirements.txt"
        ) from error

    with StopSignal() as stop:
        result = train(
            config,
            options.out,
            resume=options.resume,
            tensorboard=options.tensorboard,
            stop=stop,
            checkpoint_every_s=options.checkpoint_every,
        )
    verb = "interrupted after" if result.interrupted else "trained"
    print(
        f"{verb} {result.steps:,} steps in {result.seconds:.1f} s "
        f"({result.steps / result.seconds:,.0f} steps/s); accuracy against maui-true on "
        f"validation scenarios: {result.accuracy:.1%}"
    )
    if result.collapsed:
        print(_COLLAPSED, file=sys.stderr)
    print(f"run: {result.folder}")
    if result.interrupted:
        print(f"go on: python train.py --resume {result.folder}")
        return _INTERRUPTED
    print(f"evaluate: python evaluate.py --profile congested --run {result.folder}")
    return 0


def _train_seeds(options: TrainOptions, configs: list[TrainConfig], launcher: Launcher) -> int:
    """Train several seeds side by side; 1 if one of them failed."""
    from tqdm import tqdm

    from agents.run_directory import held, new_run_folder
    from agents.seeds_summary import (
        print_summary,
        split_done,
        summarise,
        write_plan,
        write_summary,
    )
    from agents.stop_signal import StopSignal

    first = configs[0]
    label = f"{first.algo}-{first.env.objective}-seeds{first.seed}-{configs[-1].seed}"
    folder = options.resume or new_run_folder(options.out, label)
    total = first.total_steps
    with (
        held(folder),
        StopSignal() as stop,
        tqdm(total=total * len(configs), unit=" steps", unit_scale=True, disable=None) as bar,
    ):
        write_plan(folder, configs)
        rest, runs = split_done(configs, folder)
        steps = {run.seed: total for run in runs}

        def report(seed: int, row: dict[str, float]) -> None:
            steps[seed] = min(int(row["step"]), total)
            bar.set_postfix_str(f"seed {seed}: {row['accuracy']:.1%}", refresh=False)
            bar.update(sum(steps.values()) - bar.n)

        runs += launcher.train_seeds(
            rest,
            folder,
            stop=stop,
            tensorboard=options.tensorboard,
            checkpoint_every_s=options.checkpoint_every,
            report=report,
        )
    runs.sort(key=lambda run: run.seed)
    summary = summarise(runs)
    write_summary(folder, summary)
    print_summary(summary)
    print(f"seeds: {folder}")
    if all(run.finished for run in runs):
        print(f"evaluate: python evaluate.py --mode sim --profile all --run {folder}")
        return 0
    print(f"go on: python train.py --resume {folder}")
    return _INTERRUPTED if stop() else 1


def _config(options: TrainOptions) -> TrainConfig:
    """The settings of a new training.

    Raises:
        ConfigError: they contradict each other, or a file cannot be read.
    """
    from agents.hyper_params import read_params
    from agents.train_config import TrainConfig

    if options.tune and (options.params or options.lanes or options.seeds > 1):
        raise ConfigError("--tune chooses --params and --lanes itself, and trains one seed a trial")
    if options.trials is not None and not options.tune:
        raise ConfigError("--trials is for a study: give --tune")
    config = TrainConfig(options.algo, options.seed, options.steps, options.lanes, _world(options))
    if options.params is None:
        return config
    file = read_params(options.params)
    if file.algo != options.algo:
        raise ConfigError(f"{options.params} is for {file.algo}: give --algo {file.algo}")
    return replace(config, params=file.params, lanes=options.lanes or file.lanes)


def _world(options: TrainOptions) -> EnvConfig:
    """The world to train in.

    Raises:
        ConfigError: both profiles and traces, no such profile, or a trace that cannot be read.
    """
    from agents.chosen_links import choose_links
    from envs.calibration import table_of
    from envs.config import EnvConfig
    from envs.switches import parse_switches

    world = EnvConfig(
        objective=Objective(options.objective),
        trace_base=options.trace_base,
        trace_share=options.trace_share,
        without=parse_switches(options.without),
        calibration=None if options.calibration is None else str(options.calibration),
    )
    table_of(world)  # read once, so that a bad file is said at once
    if options.trace_share < 1.0 and options.traces is None:
        raise ConfigError("--trace-share says how much of the training is on traces: give --traces")
    if options.traces is not None:
        # A profile beside traces is a contradiction, unless both have a share.
        profile = options.profile if options.trace_share == 1.0 else None
        links = choose_links(profile, None, options.traces, options.trace_base)
        for note in links.notes():
            print(f"train.py: {note}")
        world = replace(world, traces=links.trace_files)
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
        "trace_share",
        "trace_base",
        "without",
        "calibration",
        "seed",
        "lanes",
        "params",
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
        code = _INTERRUPTED
    except OSError as error:
        print(f"train.py: {error}", file=sys.stderr)
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    cli()
