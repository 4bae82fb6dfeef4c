"""How near to maui-true any policy can come: ``python benchmarks/irreducible.py``.

maui-true knows the link as it is, and how long this very transfer and this very task will take.
Nobody else can: these are drawn anew for each task, and of the link a device knows how it was when
it last measured. So every decision on the way of a policy is drawn anew many times, from exactly
known states (``benchmarks/irreducible_bound/redraws.py`` says what is given away). Who knew all
that and chose the likelier optimum would be right as often as the bound says; the policy itself,
whose knowledge is part of it, less often. The same for cost: its bound is the cost of the choice
that is cheaper on average.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from offload.errors import ConfigError, OffloadError

if TYPE_CHECKING:
    from offload.interfaces import Policy
    from offload.types import Objective


@dataclass(frozen=True)
class Options:
    """Bound the accuracy and the cost of every policy that cannot see the future."""

    profile: str | None = None
    """One profile; all by default."""
    traces: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Instead: the measured links of this folder."""
    objective: Literal["latency", "energy", "mixed"] = "mixed"
    """What a decision is to minimise."""
    policy: Annotated[str, tyro.conf.arg(metavar="NAME")] = "maui-measured"
    """On whose way; a learned one is the one that ships."""
    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 2000
    """Episodes, of 64 decisions each."""
    redraws: Annotated[int, tyro.conf.arg(metavar="N")] = 200
    """How often each decision is drawn anew."""
    seed: int = 0
    """Of everything drawn."""

    def __post_init__(self) -> None:
        for name, least in (("episodes", 2), ("redraws", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"--{name} is {getattr(self, name)}; it must be {least} or more")


def main(options: Options) -> None:
    """Print the bounds beside the policy's figures, with intervals over episodes."""
    from agents.chosen_links import choose_links
    from benchmarks.irreducible_bound.table import READING, tables
    from benchmarks.irreducible_bound.walk import walk
    from envs.config import EnvConfig
    from envs.links import link_names
    from envs.workload import WorkloadTable
    from offload.tasks.profile_table import load_profile_table
    from offload.types import Objective

    links = choose_links(
        options.profile or (None if options.traces else "all"), None, options.traces, "lte"
    )
    config = EnvConfig(objective=Objective(options.objective), traces=links.trace_files)
    if links.profiles:
        config = replace(config, profiles=links.profiles)
    table = WorkloadTable.of(load_profile_table(), config.workload)
    policy = _policy(options.policy, config.objective)
    found = walk(policy, config, table, options.episodes, options.redraws, options.seed)
    print(
        f"{links.label}, objective {config.objective}: {found.right.size:,} decisions on the way "
        f"of {policy.name}, {options.redraws} redraws each, seed {options.seed}; 95 % intervals "
        f"over episodes.\n{READING}\n"
    )
    for line in tables(found, policy.name, link_names(config), options.seed):
        print(line)


def _policy(name: str, objective: Objective) -> Policy:
    from agents.found_bundles import PRETRAINED
    from agents.maui_policy import MauiPolicy
    from agents.policies import collect, parse_names

    names = parse_names(name)
    if names == ("maui-measured",):  # needs none of the bundles, which may wait to be trained
        return MauiPolicy(objective, sees_truth=False)
    if len(names) > 1:
        raise ConfigError(f"--policy {name} names {len(names)} policies; name one")
    # No run folder lies among the bundles that ship, so these are what is found.
    found = collect(names, objective, given=(), runs=PRETRAINED, seed=0)
    for policy in found.policies:
        if policy.name == names[0]:
            return policy
    raise ConfigError("; ".join(found.notes))


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except OffloadError as error:
        raise SystemExit(f"irreducible: {error}") from error
