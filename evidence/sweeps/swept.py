"""The quantities that can be swept: what each changes, over which points, on which base."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from offload.errors import ConfigError
from offload.types import DirectionProfile, FloatArray, LinkProfile

Scale = Literal["log", "root"]


@dataclass(frozen=True, slots=True)
class Swept:
    """One quantity.

    Attributes:
        name: as the command line has it.
        noun: as a sentence has it.
        unit: of the values that are shown.
        per_unit: SI units in one shown unit; 0.01 for per cent.
        scale: of the axis, and of what is interpolated between two points: the logarithm, or the
            square root where 0 is a point.
        base: profile that gives all else, unless another is asked for.
        points: values in SI units, rising.
        quick: those of a quick sweep.
        against_edge: True: the more of it, the less the edge pays.
        device_only: the device's seconds depend on it, and the edge's do not.
        low, high: what a point may be, in SI units.
        apply: the base with the quantity set; the base itself where it is no matter of the link.
    """

    name: str
    noun: str
    unit: str
    per_unit: float
    scale: Scale
    base: str
    points: tuple[float, ...]
    quick: tuple[float, ...]
    against_edge: bool
    device_only: bool
    low: float
    high: float
    apply: Callable[[LinkProfile, float], LinkProfile]

    def position(self, values: FloatArray) -> FloatArray:
        """Values in SI units to where they lie on the scale."""
        return np.log(values) if self.scale == "log" else np.sqrt(values)

    def value(self, position: float) -> float:
        """From a place on the scale back to SI units; infinite at the ends of all scales."""
        if not np.isfinite(position):
            return float(position)
        return float(np.exp(position)) if self.scale == "log" else float(position) ** 2

    def shown(self, value: float) -> str:
        """A value in the unit shown, to two significant digits and without an exponent."""
        number = float(f"{value / self.per_unit:.2g}")
        decimals = 0 if number == 0.0 else max(0, 1 - int(np.floor(np.log10(abs(number)))))
        return f"{number:.{decimals}f}"

    def point(self, value: float) -> str:
        """A point of the sweep in the unit shown, as it was asked for."""
        return f"{value / self.per_unit:g}"


def _both(
    profile: LinkProfile, change: Callable[[DirectionProfile], DirectionProfile]
) -> LinkProfile:
    return dataclasses.replace(
        profile, uplink=change(profile.uplink), downlink=change(profile.downlink)
    )


def _with_rtt(profile: LinkProfile, rtt_s: float) -> LinkProfile:
    """Half of the round trip each way; jitter stays within half of the delay."""
    delay_s = rtt_s / 2.0
    return _both(
        profile,
        lambda way: dataclasses.replace(
            way, delay_s=delay_s, jitter_s=min(way.jitter_s, delay_s / 2.0)
        ),
    )


def _with_loss(profile: LinkProfile, loss: float) -> LinkProfile:
    """Mean loss in both directions, in bursts as long as the base's."""

    def change(way: DirectionProfile) -> DirectionProfile:
        leave = way.loss_leave if way.loss_leave > 0.0 else 1.0
        return dataclasses.replace(way, loss_enter=loss * leave / (1.0 - loss), loss_leave=leave)

    return _both(profile, change)


def _with_uplink(profile: LinkProfile, rate_bps: float) -> LinkProfile:
    """The uplink's rate; the downlink's stays in the base's proportion to it."""
    up, down = profile.uplink.rate_bps, profile.downlink.rate_bps
    if up is None or down is None:
        raise ConfigError(
            f"profile {profile.name!r} has no rate to be swept; name another with --profile"
        )
    return dataclasses.replace(
        profile,
        uplink=dataclasses.replace(profile.uplink, rate_bps=rate_bps),
        downlink=dataclasses.replace(profile.downlink, rate_bps=rate_bps * down / up),
    )


def _with_jitter(profile: LinkProfile, jitter_s: float) -> LinkProfile:
    return _both(profile, lambda way: dataclasses.replace(way, jitter_s=jitter_s))


def _as_it_is(profile: LinkProfile, value: float) -> LinkProfile:
    return profile


_MS, _PERCENT, _MBPS = 1e-3, 1e-2, 1e6


def _scaled(per_unit: float, *numbers: float) -> tuple[float, ...]:
    return tuple(number * per_unit for number in numbers)


SWEPT: dict[str, Swept] = {
    swept.name: swept
    for swept in (
        Swept("rtt", "the round-trip time", "ms", _MS, "log", "lte",
              points=_scaled(_MS, 10, 20, 40, 80, 160, 320, 640),
              quick=_scaled(_MS, 20, 80, 320), against_edge=True, device_only=False,
              low=1e-3, high=10.0, apply=_with_rtt),
        Swept("loss", "the loss", "%", _PERCENT, "root", "lte",
              points=_scaled(_PERCENT, 0, 1, 3, 6, 10, 15),
              quick=_scaled(_PERCENT, 0, 3, 10), against_edge=True, device_only=False,
              low=0.0, high=0.3, apply=_with_loss),
        Swept("bandwidth", "the uplink", "Mbit/s", _MBPS, "log", "lte",
              points=_scaled(_MBPS, 0.25, 0.5, 1, 2, 4, 8, 16, 32),
              quick=_scaled(_MBPS, 0.5, 2, 8), against_edge=False, device_only=False,
              low=1e4, high=200e6, apply=_with_uplink),
        Swept("jitter", "the one-way jitter", "ms", _MS, "root", "lte_drive",
              points=_scaled(_MS, 0, 2.5, 5, 10, 20, 40, 60),
              quick=_scaled(_MS, 0, 10, 40), against_edge=True, device_only=False,
              low=0.0, high=1.0, apply=_with_jitter),
        Swept("device-speed", "the device's slowdown", "times", 1.0, "log", "lte",
              points=(1, 1.5, 2, 3, 4, 6, 8),
              quick=(1, 2, 6), against_edge=False, device_only=True,
              low=1.0, high=100.0, apply=_as_it_is),
        Swept("edge-load", "the edge's load", "%", _PERCENT, "root", "lte",
              points=_scaled(_PERCENT, 0, 20, 40, 60, 75, 90),
              quick=_scaled(_PERCENT, 0, 50, 85), against_edge=True, device_only=False,
              low=0.0, high=0.95, apply=_as_it_is),
    )
}  # fmt: skip
"""By name. On these bases most tasks have their crossover for latency within the points."""
