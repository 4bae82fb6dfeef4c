"""Joins every sample of a link, from probes and from one's own connection, into one estimate."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from netem.estimator.estimate import Estimated, LinkEstimate
from netem.estimator.level import Level
from netem.estimator.loss import LossTracker
from netem.estimator.passive import MODEL_SD, least_rate_bps, rate_of_transfer
from netem.estimator.round_trips import RoundTripTracker
from netem.probe_results import PingGap
from offload.types import LinkState

RATE_MEMORY_S = 60.0
OWN_RTT_SD_S = 1e-3
"""Two programs answer a ping of one's own connection, and it waits for them."""
LEAST_TRANSFER_BYTES = 10_000
"""Shorter messages are not even looked at."""


class LinkTracker:
    """An estimate that samples flow into from any thread.

    Implements ``edge_server.client.LinkObserver``, so that a client's own traffic flows in.

    Args:
        congestion_control: of the transfers it is told of.
        now: monotonic clock in seconds.
    """

    def __init__(
        self, congestion_control: str = "cubic", now: Callable[[], float] = time.monotonic
    ) -> None:
        self._congestion_control = congestion_control
        self._now = now
        self._lock = threading.Lock()
        self._round_trips = RoundTripTracker()
        self._uplink_loss, self._downlink_loss = LossTracker(), LossTracker()
        self._uplink, self._downlink = Level(RATE_MEMORY_S), Level(RATE_MEMORY_S)
        self._silent_since_s: float | None = None

    def saw_ping(self, rtt_s: float, gap: PingGap) -> None:
        """A probe came back; ``gap`` counts what became of those since the last that did."""
        with self._lock:
            now_s = self._now()
            self._silent_since_s = None
            self._round_trips.add(now_s, rtt_s)
            self._uplink_loss.add(now_s, gap.uplink_sent, gap.uplink_lost)
            self._downlink_loss.add(now_s, gap.downlink_sent, gap.downlink_lost)
            if gap.late:
                self._downlink_loss.take_back()

    def saw_unanswered(self, pings: int) -> None:
        """The last pings of a run were lost, nobody knows which way: half of them each way."""
        with self._lock:
            now_s = self._now()
            self._uplink_loss.add(now_s, pings, pings / 2)
            self._downlink_loss.add(now_s, pings / 2, pings / 2)

    def saw_rate(self, rate_bps: float, sd: float, *, uplink: bool) -> None:
        """A packet train, or a transfer, showed a rate; ``sd`` is that of its logarithm."""
        with self._lock:
            level = self._uplink if uplink else self._downlink
            level.add(self._now(), math.log(rate_bps), sd)

    def saw_silence(self) -> None:
        """The last probes went all unanswered; until one comes back, the link counts as silent."""
        with self._lock:
            self._silent_since_s = self._now()

    def saw_rtt(self, rtt_s: float) -> None:
        """A message and its answer on one's own connection took ``rtt_s``."""
        with self._lock:
            self._round_trips.add(self._now(), rtt_s, OWN_RTT_SD_S)

    def saw_transfer(self, n_bytes: int, seconds: float, *, uplink: bool) -> None:
        """A message of one's own went up, or came down, in ``seconds``."""
        if n_bytes < LEAST_TRANSFER_BYTES or not seconds > 0:
            return
        found = self.estimate()
        link = found.state()
        if not math.isfinite(link.rtt_s) or link.loss == 1.0:
            return
        known = found.uplink if uplink else found.downlink
        sample = rate_of_transfer(
            n_bytes, seconds, link, self._congestion_control, believed_bps=known.value
        )
        if sample is not None:
            self.saw_rate(sample.rate_bps, sample.sd, uplink=uplink)
            return
        least_bps = least_rate_bps(n_bytes, seconds)
        if least_bps > known.value + 2 * known.sd:
            self.saw_rate(least_bps, MODEL_SD, uplink=uplink)

    def estimate(self) -> LinkEstimate:
        """The newest estimate; NaN and infinite errors for what was never measured."""
        with self._lock:
            now_s, trips = self._now(), self._round_trips
            rtt_at_s = trips.at_s
            return LinkEstimate(
                rtt=Estimated(trips.rtt_s, trips.rtt_sd_s, now_s - rtt_at_s, trips.samples),
                jitter=Estimated(
                    trips.jitter_s, trips.jitter_sd_s, now_s - rtt_at_s, trips.samples
                ),
                uplink_loss=_loss(self._uplink_loss, now_s),
                downlink_loss=_loss(self._downlink_loss, now_s),
                uplink=_rate(self._uplink, now_s),
                downlink=_rate(self._downlink, now_s),
                silent_s=None if self._silent_since_s is None else now_s - self._silent_since_s,
            )

    def state(self) -> LinkState:
        """The newest estimate as :class:`offload.interfaces.LinkEstimator` gives it."""
        return self.estimate().state()


def _loss(tracker: LossTracker, now_s: float) -> Estimated:
    return Estimated(tracker.loss, tracker.sd, now_s - tracker.at_s, tracker.samples)


def _rate(level: Level, now_s: float) -> Estimated:
    rate_bps = math.exp(level.value)
    return Estimated(rate_bps, rate_bps * level.sd, now_s - level.at_s, level.samples)
