"""The settings of the synthetic links under which they look most like the measured ones.

The method is that of simulated moments: the statistics of synthetic links drawn from the same
random numbers each time are brought near those of the measured ones, each difference in units of
the measured one's standard error, which a bootstrap over links tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from scipy.optimize import least_squares

from benchmarks.link_process_fit.panels import WINDOW_ROWS, Panels, synthetic
from benchmarks.link_process_fit.statistics import RATE, RTT, describe, log_ratios
from envs.config import LinkProcessConfig
from offload.types import FloatArray

QUANTITIES = {"uplink": RATE, "downlink": RATE, "rtt": RTT}
START: dict[str, tuple[float, float, float]] = {
    "rate_sigma": (1.1, 0.2, 2.0),
    "rate_memory_s": (25.0, 3.0, 60.0),
    "rtt_sigma": (0.15, 0.03, 0.5),
    "rtt_memory_s": (8.0, 1.5, 60.0),
    "rtt_fast_share": (0.45, 0.01, 0.95),
    "rtt_fast_memory_s": (0.3, 0.05, 1.5),
    "volatility_sigma": (0.45, 0.05, 1.0),
    "disturbance_every_s": (12.0, 3.0, 200.0),
    "disturbance_lasts_s": (0.6, 0.1, 10.0),
    "disturbance_rate_floor": (0.001, 1e-4, 0.5),
    "disturbance_rtt_peak": (5.0, 1.2, 50.0),
}
"""Start, lowest and highest value of each setting that the fit moves."""
MIN_RELATIVE_ERROR = 0.03
MIN_ERROR = 1e-3
"""No statistic counts as better known than these, lest one rule the fit."""
FIT_SETS = 4
SPIKE = 1.5
"""Ratio of the RTT to its median above which a disturbance is taken to be on."""


def describe_all(panels: Panels) -> dict[str, dict[str, float]]:
    """Statistics of each quantity."""
    return {name: describe(getattr(panels, name), kind) for name, kind in QUANTITIES.items()}


def resampled(rng: Generator, panels: Panels, times: int) -> list[Panels]:
    """Bootstrap samples: as many links, drawn with replacement."""
    links = panels.uplink.shape[1]
    return [panels.links(rng.integers(links, size=(links,))) for _ in range(times)]


def _vector(found: dict[str, dict[str, float]]) -> FloatArray:
    values = [value for part in found.values() for value in part.values()]
    return np.nan_to_num(np.array(values))


@dataclass(frozen=True, slots=True)
class Yardstick:
    """How far synthetic links are from measured ones.

    Attributes:
        panels: the measured links.
        wanted, errors: their statistics, one behind the other, and the standard errors of these.
        seed: of the random numbers that every synthetic panel is drawn from.
    """

    panels: Panels
    wanted: FloatArray
    errors: FloatArray
    seed: int

    @classmethod
    def of(cls, panels: Panels, samples: list[Panels], seed: int) -> Yardstick:
        """Take the standard errors from bootstrap samples of the panels."""
        wanted = _vector(describe_all(panels))
        errors = np.std([_vector(describe_all(sample)) for sample in samples], axis=0)
        least = np.maximum(MIN_RELATIVE_ERROR * np.abs(wanted), MIN_ERROR)
        return cls(panels, wanted, np.maximum(errors, least), seed)

    def differences(self, config: LinkProcessConfig) -> FloatArray:
        """Of each statistic, in standard errors."""
        drawn = synthetic(np.random.default_rng(self.seed), config, self.panels, FIT_SETS)
        off: FloatArray = (_vector(describe_all(drawn)) - self.wanted) / self.errors
        return off

    def left_over(self, config: LinkProcessConfig) -> float:
        """Root mean square of the differences."""
        return float(np.sqrt(np.mean(self.differences(config) ** 2)))


def fit_movement(yardstick: Yardstick) -> LinkProcessConfig:
    """Fit what the panels say of a link's movement within an episode, to three digits."""

    def settings(logs: FloatArray) -> LinkProcessConfig:
        values: dict[str, Any] = {
            name: float(f"{np.exp(log):.3g}") for name, log in zip(START, logs, strict=True)
        }
        return LinkProcessConfig(rate_spread=0.0, rtt_spread=0.0, **values)

    start, low, high = np.log(np.array(list(START.values()))).T
    found = least_squares(
        lambda logs: yardstick.differences(settings(logs)),
        start,
        bounds=(low, high),
        loss="soft_l1",
        diff_step=0.05,
        max_nfev=25,
    )
    return settings(found.x)


def fit_spread(medians: FloatArray, groups: list[str], drawn_medians: FloatArray) -> float:
    """Standard deviation between episodes of ln(value / profile's).

    Links of one radio stand for episodes of one profile. Part of what their medians differ by comes
    from the slow movement within each, which the synthetic links without a spread show.

    Args:
        medians: of each measured link.
        groups: its radio.
        drawn_medians: of synthetic links without a spread between episodes.
    """
    logs, names = np.log(medians), np.array(groups)
    radios = np.unique(names)
    within = sum(float(np.sum((logs[names == r] - logs[names == r].mean()) ** 2)) for r in radios)
    variance = within / (len(logs) - len(radios)) - float(np.var(np.log(drawn_medians)))
    return float(f"{np.sqrt(max(variance, 0.0)):.2g}")


def quiet_loss(panels: Panels) -> float:
    """Share of one direction's packets lost in five seconds in which the RTT had no spike."""
    links = panels.rtt.shape[1]
    spike = log_ratios(panels.rtt) > np.log(SPIKE)
    quiet = ~spike.reshape(-1, WINDOW_ROWS, links).any(axis=1)
    # A ping has two ways to go, so of few losses half are each direction's.
    return float(panels.ping_loss.reshape(-1, WINDOW_ROWS, links).mean(axis=1)[quiet].mean()) / 2.0
