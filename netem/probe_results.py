"""What probing a link found out, and what it cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class ProbeCost:
    """Bytes on the link, headers included, that probing has cost so far."""

    uplink_bytes: int = 0
    downlink_bytes: int = 0
    measurements: int = 0


class PingGap(NamedTuple):
    """What became of the pings since the answered one before, with the one answered now.

    Attributes:
        uplink_sent: pings sent.
        uplink_lost: those that did not reach the edge.
        downlink_sent: answers the edge sent.
        downlink_lost: those that did not come back.
        late: an answer that was overtaken, and counted as lost before; the counts are 0.
    """

    uplink_sent: int
    uplink_lost: int
    downlink_sent: int
    downlink_lost: int
    late: bool = False


@dataclass(frozen=True, slots=True)
class Echoes:
    """What came of a run of pings.

    Attributes:
        sent: pings sent.
        rtts_s: round-trip time of each that came back, in the order they came back.
        uplink_loss: share of the pings that did not reach the edge.
        downlink_loss: share of the edge's answers that did not come back.
    """

    sent: int
    rtts_s: tuple[float, ...]
    uplink_loss: float
    downlink_loss: float

    @property
    def loss(self) -> float:
        """Share of the pings that were not answered, lost on either way."""
        return 1.0 - len(self.rtts_s) / self.sent

    @property
    def one_way_loss(self) -> float:
        """Loss in one direction if both lose alike; it counts the last pings lost as well."""
        return 1.0 - math.sqrt(1.0 - self.loss)

    @property
    def rtt_s(self) -> float:
        """Mean round-trip time; NaN where nothing came back."""
        return math.fsum(self.rtts_s) / len(self.rtts_s) if self.rtts_s else math.nan

    @property
    def jitter_s(self) -> float:
        """Standard deviation of the round-trip time; NaN below two answers."""
        if len(self.rtts_s) < 2:
            return math.nan
        mean = self.rtt_s
        squares = math.fsum((rtt - mean) ** 2 for rtt in self.rtts_s)
        return math.sqrt(squares / (len(self.rtts_s) - 1))
