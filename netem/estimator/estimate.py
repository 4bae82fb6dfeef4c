"""What is believed of a link, how surely, and since when."""

from __future__ import annotations

import math
from dataclasses import dataclass

from offload.types import LinkState


@dataclass(frozen=True, slots=True)
class Estimated:
    """One quantity.

    Attributes:
        value: the estimate, in the quantity's own unit.
        sd: its standard error, in the same unit, when the newest sample was taken; what the link
            did since then is not in it.
        age_s: time since the newest sample; infinite: there is none.
        samples: how many samples of equal weight it rests on.
    """

    value: float
    sd: float
    age_s: float
    samples: float


@dataclass(frozen=True, slots=True)
class LinkEstimate:
    """Every quantity of a link by itself; seconds, fractions, bit/s.

    Attributes:
        silent_s: time since the last probes were found to go all unanswered; None: they do not.
    """

    rtt: Estimated
    jitter: Estimated
    uplink_loss: Estimated
    downlink_loss: Estimated
    uplink: Estimated
    downlink: Estimated
    silent_s: float | None

    def state(self) -> LinkState:
        """The same as a :class:`LinkState`; as old as the oldest of what was ever measured.

        Its loss is the mean of both directions', each weighted by its packets. Of a silent link it
        is 1, and the age is that of the silence.
        """
        up, down = self.uplink_loss, self.downlink_loss
        packets = up.samples + down.samples
        loss = (up.value * up.samples + down.value * down.samples) / packets if packets else 0.0
        ages = (entry.age_s for entry in (self.rtt, self.uplink, self.downlink))
        age_s = max((age for age in ages if math.isfinite(age)), default=math.inf)
        return LinkState(
            rtt_s=self.rtt.value,
            jitter_s=self.jitter.value,
            loss=loss if self.silent_s is None else 1.0,
            uplink_bps=self.uplink.value,
            downlink_bps=self.downlink.value,
            age_s=age_s if self.silent_s is None else self.silent_s,
        )
