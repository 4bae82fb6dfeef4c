"""All policies by name, as they are listed in every table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.bundle import BundlePolicy, PolicyBundle, load_bundle
from agents.fixed import FixedPolicy, RandomPolicy
from agents.maui_policy import MauiPolicy
from agents.run_directory import BUNDLE_NAME, newest_run
from agents.thresholds import THRESHOLD_NAMES, threshold_from_dict
from offload.errors import BundleError, ConfigError, UnknownNameError
from offload.interfaces import Policy
from offload.types import Objective, Placement

LEARNED_NAMES = ("ppo", "dqn")
POLICY_NAMES = (
    "always-local",
    "always-edge",
    "random",
    *THRESHOLD_NAMES,
    "maui-measured",
    *LEARNED_NAMES,
    "maui-true",
)
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
        if name not in POLICY_NAMES and name != "a2c":
            raise UnknownNameError("policy", name, POLICY_NAMES)
    if not names:
        raise ConfigError(f"no policy named; known: {', '.join(POLICY_NAMES)}, or all")
    return names


def collect(
    names: Sequence[str], objective: Objective, *, run: Path | None, runs: Path, seed: int
) -> PolicySet:
    """Make the policies of those names.

    A learned policy comes from ``run`` if that holds its algorithm, else from the newest run under
    ``runs`` of its algorithm and objective, else from the bundle that ships.

    Raises:
        BundleError: ``run`` holds no usable bundle, or one for another objective.
    """
    bundles: dict[str, PolicyBundle] = {}
    sources: dict[str, str] = {}
    if run is not None:
        given = load_bundle(run / BUNDLE_NAME if (run / BUNDLE_NAME).is_dir() else run)
        if given.objective is not objective:
            raise BundleError(
                f"{run} was trained for the objective {given.objective}; "
                f"use --objective {given.objective}, or train: python train.py --objective {objective}"
            )
        bundles[given.algorithm] = given
        sources[given.algorithm] = str(run)
        names = tuple(names) if given.algorithm in names else (*names, given.algorithm)
    notes = []
    for name in (*LEARNED_NAMES, "a2c"):
        if name in bundles or (name not in names and name != "ppo"):
            continue
        found = _newest_bundle(name, objective, runs)
        if found is not None:
            bundles[name], sources[name] = found
        elif name in names:
            notes.append(
                f"{name}: left out, no run for the objective {objective}; "
                f"make one: python train.py --algo {name} --objective {objective}"
            )
    policies: list[Policy] = []
    for name in names:
        if name in bundles:
            policies.append(BundlePolicy(bundles[name]))
        elif name in THRESHOLD_NAMES:
            rule = _threshold(name, bundles)
            if rule is None:
                notes.append(f"{name}: left out, it is tuned by train.py and there is no run yet")
            else:
                policies.append(rule)
        elif name not in (*LEARNED_NAMES, "a2c"):
            policies.append(_plain_policy(name, objective, seed))
    if not any(policy.name == "maui-true" for policy in policies):
        policies.append(MauiPolicy(objective, sees_truth=True))
    used = {policy.name for policy in policies}
    return PolicySet(tuple(policies), {n: s for n, s in sources.items() if n in used}, tuple(notes))


def _newest_bundle(name: str, objective: Objective, runs: Path) -> tuple[PolicyBundle, str] | None:
    newest = newest_run(runs, name, objective)
    if newest is not None:
        return load_bundle(newest / BUNDLE_NAME), str(newest)
    shipped = PRETRAINED / f"{name}-{objective}"
    if shipped.is_dir():
        return load_bundle(shipped), "the pretrained bundle"
    return None


def _threshold(name: str, bundles: dict[str, PolicyBundle]) -> Policy | None:
    for bundle in bundles.values():
        for rule in bundle.thresholds:
            if rule.get("name") == name:
                return threshold_from_dict(rule)
    return None


def _plain_policy(name: str, objective: Objective, seed: int) -> Policy:
    if name == "always-local":
        return FixedPolicy(Placement.LOCAL)
    if name == "always-edge":
        return FixedPolicy(Placement.EDGE)
    if name == "random":
        return RandomPolicy(seed)
    return MauiPolicy(objective, sees_truth=name == "maui-true")
