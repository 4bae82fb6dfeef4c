"""Trains the policies that ship: ``python -m agents.pretrain``."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from agents.chosen_links import choose_links
from agents.policies import PRETRAINED
from agents.rivals import DECISIONS
from agents.rivals.imitation import require_sklearn
from envs.config import EnvConfig
from offload.errors import ConfigError, OffloadError
from offload.types import Objective

SHIPPED = {"ppo": DECISIONS, "dqn": DECISIONS}
"""Steps of each algorithm that ships: what every rival is given too."""
TRACE_SHARE = 0.5
"""Share of episodes on measured links, where a folder of them is given (docs/policies.md)."""


@dataclass(frozen=True)
class PretrainOptions:
    """Train what ships, for each objective, seed 0, and replace what is there."""

    only: Literal["all", "learned", "rivals"] = "all"
    """The learned policies (ppo, dqn), their rivals, or both."""
    objective: Literal["all", "latency", "energy", "mixed"] = "all"
    """For one objective alone."""
    traces: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Measured links for half of the episodes; without them all are drawn from the profiles."""
    decisions: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Decisions that each may play through. Default: 3,000,000 (imitation: a quarter of that)."""
    out: Path = PRETRAINED
    """Where the folders go."""


def main(options: PretrainOptions) -> None:
    """Train as asked.

    Raises:
        ConfigError: scikit-learn is needed and missing, or no decisions at all are asked for.
        TraceError: a trace that cannot be read.
    """
    if options.decisions is not None and options.decisions < 1:
        raise ConfigError(f"--decisions is {options.decisions}; it must be at least 1")
    if options.only != "learned":
        require_sklearn()
    world = _world(options.traces)
    asked = tuple(Objective) if options.objective == "all" else (Objective(options.objective),)
    for objective in asked:
        config = replace(world, objective=objective)
        if options.only != "rivals":
            _learned(config, options)
        if options.only != "learned":
            _rivals(config, options)


def _world(traces: Path | None) -> EnvConfig:
    """What all are trained in, and a line that says so."""
    world = EnvConfig()
    if traces is None:
        print("no measured links (--traces DIR): all episodes on the profiles", flush=True)
        return world
    links = choose_links(None, None, traces, world.trace_base)
    print("\n".join(links.notes()), flush=True)
    return replace(world, traces=links.trace_files, trace_share=TRACE_SHARE)


def _learned(config: EnvConfig, options: PretrainOptions) -> None:
    from agents.training import TrainConfig, train

    with tempfile.TemporaryDirectory() as runs:
        for algorithm, steps in SHIPPED.items():
            settings = TrainConfig(algo=algorithm, steps=options.decisions or steps, env=config)
            result = train(settings, Path(runs), tensorboard=False)
            folder = options.out / f"{algorithm}-{config.objective}"
            result.bundle.save(folder)
            print(f"{folder.name}: {result.accuracy:.1%} on validation scenarios", flush=True)


def _rivals(config: EnvConfig, options: PretrainOptions) -> None:
    from agents.rivals.shipped import make_rivals
    from envs.workload import WorkloadTable
    from offload.tasks.profile_table import load_profile_table

    table = WorkloadTable.of(load_profile_table(), config.workload)
    for name in make_rivals(config, table, options.out, options.decisions):
        print(f"{name}-{config.objective}", flush=True)


def cli() -> None:
    """Entry point: errors of the project are one line and exit code 2."""
    try:
        main(tyro.cli(PretrainOptions, description=__doc__))
    except OffloadError as error:
        print(f"agents.pretrain: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    cli()
