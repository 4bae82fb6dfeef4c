"""The rivals that ship: trained for every objective, stored and read back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.bundle import BundlePolicy, PolicyBundle, load_bundle
from agents.rivals import DECISIONS
from agents.rivals.rules import Rule, rule_from_dict, rule_to_dict
from agents.rivals.trees import TreeBundle, TreePolicy, load_trees
from agents.run_directory import read_json, write_json
from envs.config import EnvConfig
from envs.scenario import draw_scenario
from envs.streams import Purpose, stream
from envs.workload import WorkloadTable
from offload.errors import BundleError, ConfigError
from offload.interfaces import Policy
from offload.types import Objective

RIVAL_NAMES = (
    "threshold-time",
    "maui-tuned",
    "linucb",
    "imitation-logistic",
    "imitation-boosting",
)
FORMAT = 1
VALIDATION_LANES = 1024
_RULES = ("threshold-time", "maui-tuned")
_JSON_NAME = "policy.json"


def load_rival(name: str, objective: Objective, folder: Path) -> tuple[Policy, dict[str, Any]]:
    """A rival and its provenance.

    Raises:
        BundleError: damaged, of another format, made for other features, or not that rival.
    """
    bundle: Any
    if name in _RULES:
        said = _read_rule(folder / _JSON_NAME)
        rule = rule_from_dict(name, objective, said["numbers"])
        _check(folder, name, objective, said["algorithm"], said["objective"])
        return rule, dict(said["provenance"])
    if name == "imitation-boosting":
        bundle = load_trees(folder)
        policy: Policy = TreePolicy(bundle)
    else:
        bundle = load_bundle(folder)
        policy = BundlePolicy(bundle)
    _check(folder, name, objective, bundle.algorithm, bundle.objective)
    return policy, bundle.provenance


def _read_rule(path: Path) -> dict[str, Any]:
    try:
        said = read_json(path)
    except ConfigError as error:
        raise BundleError(f"{error}; make it again: python -m agents.pretrain") from error
    wanted = {"format", "algorithm", "objective", "numbers", "provenance"}
    if said.keys() != wanted or said["format"] != FORMAT:
        raise BundleError(
            f"{path} is not of format {FORMAT}; make it again: python -m agents.pretrain"
        )
    return said


def _check(folder: Path, name: str, objective: Objective, found: str, trained_for: str) -> None:
    if (found, str(trained_for)) != (name, str(objective)):
        raise BundleError(
            f"{folder} holds {found} for the objective {trained_for}; it must be {name} for "
            f"{objective}: python -m agents.pretrain"
        )


def save_rule(rule: Rule, objective: Objective, provenance: dict[str, Any], folder: Path) -> None:
    """Write a rule's numbers; the file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        "format": FORMAT,
        "algorithm": rule.name,
        "objective": str(objective),
        "numbers": rule_to_dict(rule),
        "provenance": provenance,
    }
    write_json(folder / _JSON_NAME, description)


def make_rivals(
    config: EnvConfig, table: WorkloadTable, where: Path, decisions: int | None = None
) -> Iterator[str]:
    """Train every rival for one objective into ``where``; yields each one's name once it is there.

    Args:
        decisions: that each may play through; None: as many as is documented.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    from agents.rivals.bandit import train_linucb
    from agents.rivals.imitation import MOST, train_imitators
    from agents.rivals.tuning import tune_rules

    world = {
        "profiles": list(config.profiles),
        "traces": [Path(file).name for file in config.traces],
        "trace_share": config.trace_share,
    }
    objective = config.objective
    validation = draw_scenario(stream(Purpose.VALIDATE, 0), config, table, VALIDATION_LANES)

    def save(bundle: PolicyBundle | TreeBundle) -> str:
        said = {**bundle.provenance, "env": world}
        replace(bundle, provenance=said).save(where / f"{bundle.algorithm}-{objective}")
        return bundle.algorithm

    most = DECISIONS if decisions is None else decisions
    for rule in tune_rules(stream(Purpose.TUNE, 1), config, table, validation, most):
        said = {"steps": most, "env": world}
        save_rule(rule, objective, said, where / f"{rule.name}-{objective}")
        yield rule.name
    yield save(train_linucb(stream(Purpose.TUNE, 2), config, table, validation, most))
    fewer = MOST if decisions is None else decisions
    for imitator in train_imitators(stream(Purpose.TUNE, 3), config, table, fewer):
        yield save(imitator)
