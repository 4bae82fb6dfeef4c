"""All policies by name, as they are listed in every table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.bundle import BundlePolicy, PolicyBundle, load_bundle
from agents.fixed import FixedPolicy, RandomPolicy
from agents.maui_policy import MauiPolicy
from agents.rivals.shipped import RIVAL_NAMES, load_rival
from agents.run_directory import BUNDLE_NAME, newest_run
from agents.thresholds import THRESHOLD_NAMES, threshold_from_dict
from offload.errors import BundleError, ConfigError, UnknownNameError
from offload.interfaces import Policy
from offload.link_profiles import PROFILES
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
PRETRAINED = Path(__file__).parent / "pretrained"


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Policies to compare, and what to tell the user about them.

    Attributes:
        policies: in the order of the table; maui-true is always among them.
        sources: where each learned policy comes from, by name.
        notes: a line for each policy that was left out, with the reason.
    """

    policies: tuple[Policy, ...]
    sources: dict[str, str]
    notes: tuple[str, ...]


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
    names: Sequence[str], objective: Objective, *, run: Path | None, runs: Path, seed: int
) -> PolicySet:
    """Make the policies of those names.

    A learned policy comes from ``run`` if that holds its algorithm, else from the newest run under
    ``runs`` of its algorithm and objective, else from the bundle that ships. The thresholds were
    tuned with the first of these, on its training data.

    Raises:
        BundleError: ``run`` holds no usable bundle, or one for another objective.
    """
    found: dict[str, _Found] = {}
    if run is not None:
        given = _given_bundle(run, objective)
        found[given.bundle.algorithm] = given
        names = list(dict.fromkeys([*names, given.bundle.algorithm]))
    for name in LEARNED_NAMES:
        newest = None if name in found else _newest_bundle(name, objective, runs)
        if newest is not None:
            found[name] = newest
    rules = {
        rule["name"]: rule for each in reversed(found.values()) for rule in each.bundle.thresholds
    }

    policies: list[Policy] = []
    sources = {name: each.source for name, each in found.items() if name in names}
    notes = []
    for name in names:
        if name in found:
            policies.append(BundlePolicy(found[name].bundle))
        elif name in rules:
            policies.append(threshold_from_dict(rules[name]))
        elif name in PLAIN_NAMES:
            policies.append(_plain_policy(name, objective, seed))
        elif name in RIVAL_NAMES:
            rival, said = load_rival(name, objective, PRETRAINED / f"{name}-{objective}")
            policies.append(rival)
            sources[name] = _source("the one that ships", said, f"{said.get('steps')} decisions")
        else:
            algorithm = name if name in LEARNED_NAMES else "ppo"
            notes.append(
                f"{name} is left out: no run for the objective {objective}; "
                f"make one: python train.py --algo {algorithm} --objective {objective}"
            )
    if "maui-true" not in names:
        policies.append(MauiPolicy(objective, sees_truth=True))
    return PolicySet(tuple(policies), sources, tuple(notes))


@dataclass(frozen=True, slots=True)
class _Found:
    """A bundle and where it was found."""

    bundle: PolicyBundle
    place: str

    @property
    def source(self) -> str:
        """Where it was found, and what it says of its training."""
        said = self.bundle.provenance
        return _source(self.place, said, f"weights of step {said.get('steps')}")


def _source(place: str, said: dict[str, Any], amount: str) -> str:
    """A place with what its provenance says of its training: a short run is no surprise then."""
    world = said.get("env")
    profiles = world.get("profiles") if isinstance(world, dict) else None
    traces = world.get("traces") if isinstance(world, dict) else None
    if not isinstance(profiles, list):
        return place
    on = "all profiles" if set(profiles) >= set(PROFILES) else ", ".join(map(str, profiles))
    if isinstance(traces, list) and traces:
        on = f"{len(traces)} measured links"
    return f"{place} (trained on {on}, {amount})"


def _given_bundle(run: Path, objective: Objective) -> _Found:
    bundle = load_bundle(run / BUNDLE_NAME if (run / BUNDLE_NAME).is_dir() else run)
    if bundle.objective is not objective:
        raise BundleError(
            f"{run} was trained for the objective {bundle.objective}, not {objective}; "
            f"use --objective {bundle.objective}, or: python train.py --objective {objective}"
        )
    if bundle.algorithm not in LEARNED_NAMES:  # it must not pass for the oracle
        raise BundleError(
            f"{run} names the algorithm {bundle.algorithm!r}; known: {', '.join(LEARNED_NAMES)}"
        )
    return _Found(bundle, str(run))


def _newest_bundle(name: str, objective: Objective, runs: Path) -> _Found | None:
    newest = newest_run(runs, name, objective)
    if newest is not None:
        return _Found(load_bundle(newest / BUNDLE_NAME), str(newest))
    shipped = PRETRAINED / f"{name}-{objective}"
    if shipped.is_dir():
        return _Found(load_bundle(shipped), "the pretrained bundle")
    return None


def _plain_policy(name: str, objective: Objective, seed: int) -> Policy:
    if name == "always-local":
        return FixedPolicy(Placement.LOCAL)
    if name == "always-edge":
        return FixedPolicy(Placement.EDGE)
    if name == "random":
        return RandomPolicy(seed)
    return MauiPolicy(objective, sees_truth=name == "maui-true")
