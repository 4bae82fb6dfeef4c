"""What a device remembers of its link: the probes before the last one, in a dozen numbers.

The last probe says how the link was; the ones before say how far it has strayed from what is usual
on this link, how much this link moves at all, and where it is heading. All in logarithms, relative
to the last probe, so that a factor of two is the same on every link.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from offload.elementwise import functions_for
from offload.types import FloatArray, LinkHistory, LinkState, Quantity

MEMORY_S = 20.0
"""Among recent probes, the weight of one falls by 1/e in this time."""
_SAME_PROBE_S = 1e-3
"""Probes no further apart are one: the moment of a probe is known through its age alone."""
_LEAST_RATE_BPS = 1.0
_LEAST_RTT_S = 1e-6


class _Quantity:
    """The logarithm of one quantity over the probes so far, counted from the first one's."""

    def __init__(self, first: Quantity) -> None:
        self._first = first
        self._last = self._before = self._recent = self._total = self._squares = 0.0 * first

    def add(self, value: Quantity, is_new: Quantity, keep: Quantity) -> None:
        """Take a value in where it is new; the recent ones keep so much of their weight."""
        where = functions_for(value).where
        value = where(is_new, value - self._first, 0.0)
        self._before = where(is_new, self._last, self._before)
        self._last = where(is_new, value, self._last)
        self._recent = keep * self._recent + value
        self._total = self._total + value
        self._squares = self._squares + value * value

    def summary(
        self, weight: Quantity, count: Quantity
    ) -> tuple[Quantity, Quantity, Quantity, Quantity]:
        """Recent mean, mean and value before, relative to the last; and the standard deviation."""
        xp = functions_for(count)
        mean = self._total / count
        spread = xp.sqrt(xp.maximum(self._squares / count - mean * mean, 0.0))
        recent = self._recent / weight
        return recent - self._last, mean - self._last, spread, self._before - self._last


class LinkMemory:
    """Takes in a link's probes one by one, of one link (numbers) or of many at once (arrays)."""

    def __init__(self) -> None:
        self._quantities: tuple[_Quantity, _Quantity, _Quantity] | None = None
        self._last_s: Quantity = 0.0
        self._before_s: Quantity = 0.0
        self._weight: Quantity = 1.0
        self._count: Quantity = 1.0

    def saw(self, link: LinkState, now_s: Quantity) -> None:
        """Remember what the device knows of its link; a probe that it knew before counts once.

        Args:
            link: the newest estimate, with its age.
            now_s: the time, on any clock that does not jump.
        """
        xp = functions_for(link.uplink_bps, now_s)
        values = (
            xp.log(xp.maximum(link.uplink_bps, _LEAST_RATE_BPS)),
            xp.log(xp.maximum(link.downlink_bps, _LEAST_RATE_BPS)),
            xp.log(xp.maximum(link.rtt_s, _LEAST_RTT_S)),
        )
        probed_s = now_s - link.age_s
        if self._quantities is None:
            up, down, rtt = (_Quantity(value) for value in values)
            self._quantities = up, down, rtt
            self._last_s = self._before_s = probed_s
            self._weight = self._count = 1.0 + 0.0 * probed_s
            return
        is_new = probed_s > self._last_s + _SAME_PROBE_S
        keep = xp.where(is_new, xp.exp((self._last_s - probed_s) / MEMORY_S), 1.0)
        for quantity, value in zip(self._quantities, values, strict=True):
            quantity.add(value, is_new, keep)
        one = xp.where(is_new, 1.0, 0.0)
        self._weight = keep * self._weight + one
        self._count = self._count + one
        self._before_s = xp.where(is_new, self._last_s, self._before_s)
        self._last_s = xp.where(is_new, probed_s, self._last_s)

    def history(self) -> LinkHistory:
        """What there is to remember; nothing before the first probe."""
        if self._quantities is None:
            return LinkHistory()
        up, down, rtt = (each.summary(self._weight, self._count) for each in self._quantities)
        by_kind = [value for kind in zip(up, down, rtt, strict=True) for value in kind]
        return LinkHistory(*(*by_kind, self._last_s - self._before_s))


def histories(link: LinkState, now_s: FloatArray) -> LinkHistory:
    """What there is to remember at each of many decisions.

    Args:
        link: the newest estimate at each decision, arrays of shape (steps, lanes).
        now_s: the time of each decision, shape (steps, lanes).

    Returns:
        Arrays of shape (steps, lanes).
    """
    memory = LinkMemory()
    rows = LinkHistory(*(np.empty_like(now_s) for _ in fields(LinkHistory)))
    for step, now in enumerate(now_s):
        memory.saw(LinkState(*(getattr(link, f.name)[step] for f in fields(LinkState))), now)
        found = memory.history()
        for field in fields(LinkHistory):
            getattr(rows, field.name)[step] = getattr(found, field.name)
    return rows
