"""All policies by name, as they are listed in every table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.fixed import FixedPolicy, RandomPolicy
from agents.found_bundles import PRETRAINED, described, given_bundles, newest_bundles
from agents.maui_policy import MauiPolicy
from agents.rivals.shipped import RIVAL_NAMES, load_rival
from agents.thresholds import THRESHOLD_NAMES, threshold_from_dict
from offload.errors import ConfigError, UnknownNameError
from offload.interfaces import Policy
from offload.types import Objective, Placement

LEARNED_NAMES = ("ppo", "dqn", "a2c")
PLAIN_NAMES = ("always-local", "always-edge", "random", "maui-measured", "maui-true")
POLICY_NAMES = (
    "always-local",
    "always-edge",
    "random",
    *THRESHOLD_NAMES,
    "threshold-time",
    "maui-measured",
    *(name for name in RIVAL_NAMES if name != "threshold-time"),
    "ppo",
    "dqn",
    "maui-true",
)
"""What ``all`` means."""


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Policies to compare, and what to tell the user about them.

    Attributes:
        policies: in the order of the table; maui-true is always among them.
        sources: where each learned policy comes from, by name.
        notes: a line for each policy or run that was left out, with the reason.
        seeds: of an algorithm with several runs, the names of their policies, by its own name.
    """

    policies: tuple[Policy, ...]
    sources: dict[str, str]
    notes: tuple[str, ...]
    seeds: dict[str, tuple[str, ...]]


def parse_names(text: str) -> tuple[str, ...]:
    """Policy names from ``all`` or a comma-separated list.

    Raises:
        UnknownNameError: a name that is no policy.
    """
    if text == "all":
        return POLICY_NAMES
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in (*POLICY_NAMES, *LEARNED_NAMES):
            raise UnknownNameError("policy", name, POLICY_NAMES)
    if not names:
        raise ConfigError(f"no policy named; known: {', '.join(POLICY_NAMES)}, or all")
    return names


def collect(
    names: Sequence[str], objective: Objective, *, given: Sequence[Path], runs: Path, seed: int
) -> PolicySet:
    """Make the policies of those names.

    A learned policy comes from the ``given`` runs that hold its algorithm, else from the newest
    run under ``runs`` of its algorithm and objective, else from the bundle that ships. The
    thresholds were tuned with the first of these, on its training data.

    Raises:
        BundleError: a given run holds no usable bundle, or one for another objective.
    """
    found = given_bundles(given, objective, LEARNED_NAMES)
    names = list(dict.fromkeys([*names, *found]))
    notes: list[str] = []
    for name in LEARNED_NAMES:
        newest = None if name in found else newest_bundles(name, objective, runs, notes)
        if newest is not None:
            found[name] = newest
    rules = {
        rule["name"]: rule
        for each in reversed(found.values())
        for rule in each.bundles[0].thresholds
    }

    policies: list[Policy] = []
    sources = {name: each.source for name, each in found.items() if name in names}
    seeds: dict[str, tuple[str, ...]] = {}
    for name in names:
        if name in found:
            own = found[name].policies
            policies += own
            if len(own) > 1:
                seeds[name] = tuple(policy.name for policy in own)
        elif name in rules:
            policies.append(threshold_from_dict(rules[name]))
        elif name in PLAIN_NAMES:
            policies.append(_plain_policy(name, objective, seed))
        elif name in RIVAL_NAMES:
            rival, said = load_rival(name, objective, PRETRAINED / f"{name}-{objective}")
            policies.append(rival)
            sources[name] = described("the one that ships", said, f"{said.get('steps')} decisions")
        else:
            algorithm = name if name in LEARNED_NAMES else "ppo"
            notes.append(
                f"{name} is left out: no run for the objective {objective}; "
                f"make one: python train.py --algo {algorithm} --objective {objective}"
            )
    if "maui-true" not in names:
        policies.append(MauiPolicy(objective, sees_truth=True))
    return PolicySet(tuple(policies), sources, tuple(dict.fromkeys(notes)), seeds)


def _plain_policy(name: str, objective: Objective, seed: int) -> Policy:
    if name == "always-local":
        return FixedPolicy(Placement.LOCAL)
    if name == "always-edge":
        return FixedPolicy(Placement.EDGE)
    if name == "random":
        return RandomPolicy(seed)
    return MauiPolicy(objective, sees_truth=name == "maui-true")
