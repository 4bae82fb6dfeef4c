"""Threshold rules on the measured link, and their tuning on training scenarios."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from agents.rollout import roll_out
from envs.config import EnvConfig
from envs.scenario import Scenario
from offload.errors import ConfigError
from offload.types import DecisionContext, IntArray

THRESHOLD_NAMES = ("threshold-rtt", "threshold-bandwidth", "threshold-both")


@dataclass(frozen=True, slots=True)
class ThresholdPolicy:
    """Offload when the RTT is low enough and the uplink fast enough.

    Attributes:
        name: one of THRESHOLD_NAMES.
        max_rtt_s: offload at this RTT or less; infinite: the rule does not look at it.
        min_uplink_bps: offload at this rate or more; 0: the rule does not look at it.
    """

    name: str
    max_rtt_s: float
    min_uplink_bps: float
    sees_truth: bool = False

    def decide(self, context: DecisionContext) -> IntArray:
        """See :class:`offload.interfaces.Policy`."""
        near = np.less_equal(context.link.rtt_s, self.max_rtt_s)
        fast = np.greater_equal(context.link.uplink_bps, self.min_uplink_bps)
        return np.asarray(near & fast).astype(np.int8)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; an infinite RTT becomes None."""
        data = asdict(self)
        data["max_rtt_s"] = None if math.isinf(self.max_rtt_s) else self.max_rtt_s
        return data


def threshold_from_dict(data: dict[str, Any]) -> ThresholdPolicy:
    """The reverse of :meth:`ThresholdPolicy.to_dict`.

    Raises:
        ConfigError: a key is missing or a value is no number.
    """
    try:
        rtt = data["max_rtt_s"]
        return ThresholdPolicy(
            str(data["name"]),
            math.inf if rtt is None else float(rtt),
            float(data["min_uplink_bps"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"bad threshold rule {data!r}: {error!r}") from error


def _candidates(name: str, scenario: Scenario, grid: int) -> Iterator[ThresholdPolicy]:
    """Rules whose thresholds are quantiles of what the device measures; and always, and never."""
    quantiles = np.linspace(0.0, 1.0, grid)
    link = scenario.links.measured
    rtts = (
        [0.0, *np.quantile(link.rtt_s, quantiles), math.inf]
        if "bandwidth" not in name
        else [math.inf]
    )
    beyond_bps = 2.0 * link.uplink_bps.max()  # no link is so fast; infinity is not for JSON
    rates = (
        [0.0, *np.quantile(link.uplink_bps, quantiles), beyond_bps] if "rtt" not in name else [0.0]
    )
    for rtt, rate in itertools.product(rtts, rates):
        yield ThresholdPolicy(name, float(rtt), float(rate))


def tune_thresholds(scenario: Scenario, config: EnvConfig, grid: int = 13) -> list[ThresholdPolicy]:
    """The best rule of each form: least mean cost over a training scenario, played through.

    Args:
        scenario: training data; never what is reported on.
        grid: quantiles tried for each threshold (their product for the rule on both).
    """
    best = []
    for name in THRESHOLD_NAMES:
        scored = [
            (float(roll_out(rule, scenario, config).cost.mean()), index, rule)
            for index, rule in enumerate(_candidates(name, scenario, grid))
        ]
        best.append(min(scored)[2])
    return best
