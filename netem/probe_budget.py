"""How much probing an idle link may carry, and what to spend it on. Pure: time is passed in."""

from __future__ import annotations

import math

from netem.probe_exchange import train_packets
from netem.probe_results import ProbeCost
from netem.probe_trains import train_seconds
from netem.probe_wire import CONTROL_BYTES, HEADERS_BYTES, TRAIN_BYTES
from offload.errors import ConfigError

PING_BYTES = CONTROL_BYTES + HEADERS_BYTES
PING_SHARE = 0.3
"""Of the budget; the rest is saved up for trains."""
SHORTEST_PING_INTERVAL_S = 0.5
LONGEST_PING_INTERVAL_S = 30.0
STALE_S = 30.0
"""A rate measured, or seen in a transfer, within this time needs no train."""
_MOST_SAVED_S = 300.0
_TALK_BYTES = 10 * PING_BYTES
"""Requests, repeated until answered, that go with a train."""


class ProbeBudget:
    """Credit in bytes, each direction its own: a share of the link's rate, less what was spent.

    Credit may fall below zero (the first measurement is not asked for leave); pings then go on at
    their share, and trains wait until it is paid back.

    Args:
        share: of the rate of each direction, above 0 up to 1.
        now_s: time from which credit builds up.
        spent: what probing had cost by then, which is not held against it.

    Raises:
        ConfigError: the share is out of range.
    """

    def __init__(self, share: float, now_s: float, spent: ProbeCost) -> None:
        if not 0.0 < share <= 1.0:
            raise ConfigError(f"budget_share is {share!r}; it must be above 0, up to 1")
        self._share = share
        self._now_s = now_s
        self._spent = spent
        self._credit = {True: 0.0, False: 0.0}
        self._rate_bps = {True: 0.0, False: 0.0}

    def update(self, now_s: float, uplink_bps: float, downlink_bps: float, cost: ProbeCost) -> None:
        """Add what the time since the last call allows, at these rates; take off what was spent."""
        elapsed_s = now_s - self._now_s
        spent = {
            True: cost.uplink_bytes - self._spent.uplink_bytes,
            False: cost.downlink_bytes - self._spent.downlink_bytes,
        }
        self._rate_bps = {True: uplink_bps, False: downlink_bps}
        for uplink, rate_bps in self._rate_bps.items():
            allowance = self._share * rate_bps / 8
            saved = self._credit[uplink] + allowance * elapsed_s - spent[uplink]
            self._credit[uplink] = min(saved, allowance * _MOST_SAVED_S)
        self._now_s, self._spent = now_s, cost

    @property
    def ping_interval_s(self) -> float:
        """Time between pings that costs no more than their share of the slower direction."""
        slowest = self._share * PING_SHARE * min(self._rate_bps.values()) / 8
        interval_s = PING_BYTES / slowest if slowest > 0 else math.inf
        return min(LONGEST_PING_INTERVAL_S, max(SHORTEST_PING_INTERVAL_S, interval_s))

    def train(self, jitter_s: float, *, uplink: bool) -> int:
        """Packets of a train that could be paid for now in that direction; 0: none."""
        packets = train_packets(self._rate_bps[uplink], train_seconds(jitter_s))
        price = packets * (TRAIN_BYTES + HEADERS_BYTES) + _TALK_BYTES
        return packets if self._credit[uplink] >= price else 0
