"""How each policy stands while a live run is under way."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.paired import scenario_of
from agents.rollout import roll_out
from envs.config import EnvConfig
from offload.interfaces import Policy
from offload.types import PairedRun, Placement

ROLLING = 50
"""Tasks that count: the last ones."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One policy on the last tasks.

    Attributes:
        name: of the policy.
        choice: where it would run the newest task.
        right: that agrees with maui-true.
        accuracy, missed, offloaded: shares of these tasks: choices that agree, deadlines missed,
            choices of the edge.
        cost: mean; 1 is all-local.
    """

    name: str
    choice: Placement
    right: bool
    accuracy: float
    missed: float
    offloaded: float
    cost: float


def standings(
    policies: Sequence[Policy], pairs: Sequence[PairedRun], radio: str, config: EnvConfig
) -> list[Standing]:
    """Where every policy stands after these pairs, of which the last ROLLING count.

    The policies are copied first: what they are asked here leaves no trace in those that will be
    scored. The pauses between the tasks are drawn anew in the scoring; with them the radio's tail
    changes, so a cost that counts energy differs from the table's, the more the fewer the tasks.
    """
    last = list(pairs[-ROLLING:])
    scenario = scenario_of(last, radio, config.congestion_control, np.random.default_rng(0))
    found = []
    for policy in copy.deepcopy(list(policies)):
        played = roll_out(policy, scenario, config)
        right = played.placement == played.optimum
        found.append(
            Standing(
                name=policy.name,
                choice=Placement(int(played.placement[-1, 0])),
                right=bool(right[-1, 0]),
                accuracy=float(right.mean()),
                missed=float(played.missed.mean()),
                offloaded=float(played.placement.mean()),
                cost=float(played.cost.mean()),
            )
        )
    return found
