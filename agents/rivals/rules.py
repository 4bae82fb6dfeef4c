"""Rules with a few tuned numbers: predicted times compared, and MAUI on corrected estimates."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from offload.cost_model import edge_cost, local_cost, transfer
from offload.errors import BundleError
from offload.oracle import maui_placement
from offload.types import DecisionContext, IntArray, Objective, Quantity, Transfer


@dataclass(frozen=True, slots=True)
class TimeThreshold:
    """Offload when the predicted remote seconds are few enough beside the local ones.

    Attributes:
        factor, margin_s: offload if remote seconds times the factor and the margin are at most the
            local seconds, the queue's among them; infinite: never.
    """

    factor: float
    margin_s: float
    name: str = "threshold-time"
    sees_truth: bool = False

    def decide(self, context: DecisionContext) -> IntArray:
        """See :class:`offload.interfaces.Policy`."""
        remote_s, local_s = edge_cost(context).seconds, local_cost(context).seconds
        return np.less_equal(remote_s * self.factor + self.margin_s, local_s).astype(np.int8)


@dataclass(frozen=True, slots=True)
class Correction:
    """What a device may make of its estimates before MAUI decides on them.

    Estimates fade into a long-run value as they age: of the part e^(-age / memory) the estimate is
    kept, of rates by their logarithm.

    Attributes:
        rate_memory_s: memory of both rates; infinite: they do not fade.
        uplink_bps, downlink_bps: what they fade into.
        queue_memory_s: memory of the edge's queueing.
        queue_s: what it fades into.
        stretch: transfers are taken to need so many times the model's seconds.
    """

    rate_memory_s: float = math.inf
    uplink_bps: float = 1e7
    downlink_bps: float = 1e7
    queue_memory_s: float = math.inf
    queue_s: float = 0.0
    stretch: float = 1.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            above = entry.name != "queue_s"
            if not value >= 0.0 or (above and value == 0.0):
                raise BundleError(f"{entry.name} is {value}; it must be above 0")

    def applied(self, context: DecisionContext) -> DecisionContext:
        """The context with corrected estimates and the transfers that follow from them."""
        link, edge = context.link, context.edge
        kept = np.exp(-link.age_s / self.rate_memory_s)
        link = replace(
            link,
            uplink_bps=_faded(link.uplink_bps, kept, self.uplink_bps),
            downlink_bps=_faded(link.downlink_bps, kept, self.downlink_bps),
        )
        still = np.exp(-edge.age_s / self.queue_memory_s)
        edge = replace(edge, queue_s=still * edge.queue_s + (1.0 - still) * self.queue_s)
        moved = transfer(link, context.task, context.congestion_control)
        moved = Transfer(self.stretch * moved.upload_s, self.stretch * moved.download_s)
        return replace(context, link=link, edge=edge, moved=moved)


def _faded(rate_bps: Quantity, kept: Quantity, into_bps: float) -> Quantity:
    return np.exp(kept * np.log(rate_bps) + (1.0 - kept) * math.log(into_bps))


@dataclass(frozen=True, slots=True)
class TunedMaui:
    """MAUI's program on corrected estimates."""

    objective: Objective
    correction: Correction
    name: str = "maui-tuned"
    sees_truth: bool = False

    def decide(self, context: DecisionContext) -> IntArray:
        """See :class:`offload.interfaces.Policy`."""
        return maui_placement(self.correction.applied(context), self.objective)


Rule = TimeThreshold | TunedMaui


def rule_to_dict(rule: Rule) -> dict[str, Any]:
    """A rule's numbers for JSON, which knows no infinity: None stands for it."""
    if isinstance(rule, TunedMaui):
        numbers = asdict(rule.correction)
    else:
        numbers = {"factor": rule.factor, "margin_s": rule.margin_s}
    return {name: None if math.isinf(value) else value for name, value in numbers.items()}


def rule_from_dict(name: str, objective: Objective, data: Any) -> Rule:
    """The reverse of :func:`rule_to_dict`.

    Raises:
        BundleError: a number is missing, unknown or not one.
    """
    try:
        numbers = {key: math.inf if value is None else float(value) for key, value in data.items()}
        if name != "threshold-time":
            return TunedMaui(objective, Correction(**numbers))
        if numbers.keys() != {"factor", "margin_s"}:
            raise ValueError("it takes factor and margin_s")
        return TimeThreshold(numbers["factor"], numbers["margin_s"])
    except (AttributeError, TypeError, ValueError) as error:
        raise BundleError(f"bad numbers of {name}: {data!r}: {error}") from error
