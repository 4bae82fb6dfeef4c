"""Keeps the estimate of an idle link fresh, within a budget."""

from __future__ import annotations

import math
import time

from netem.estimator import LinkTracker
from netem.ping_run import PingRun
from netem.probe_budget import STALE_S, ProbeBudget
from netem.probe_exchange import ProbeExchange
from netem.probe_results import ProbeCost
from netem.probe_trains import send_train, train_sd

SILENT_PINGS = 12
"""So many unanswered pings in a row make a silent link."""
UNSURE = 0.15
"""Relative error of a rate that makes a train worth while before the rate is stale: known from
transfers alone, or contradicted by the newest sample."""
CONFIRMED_SAMPLES = 1.5
"""A single train may have met a stall of either end."""
ASSUMED_BPS = 100e3
"""Of a direction in which no train has come through yet: it is to get one all the same."""
_TRY_AGAIN_S = 10.0
_LONGEST_PATIENCE_S = 1.0
_TRAIN_PATIENCE_S = 2.0
_HELLO_EVERY_S = 1.0


class IdleProbing:
    """One probe a step: a ping, or a train where a rate is stale and the budget has room.

    Args:
        exchange: the conversation with the responder.
        tracker: told what is found.
        share: of each direction's rate, that all of it may cost.

    Raises:
        ConfigError: the share is out of range.
    """

    def __init__(self, exchange: ProbeExchange, tracker: LinkTracker, share: float) -> None:
        self._exchange = exchange
        self._tracker = tracker
        self._budget = ProbeBudget(share, time.monotonic(), ProbeCost())
        self._run: PingRun | None = None
        self._tried_s = {True: -math.inf, False: -math.inf}

    def interrupt(self) -> None:
        """Other pings were sent meanwhile: the responder counts a run only while it lasts."""
        self._run = None

    def step(self) -> float:
        """One probe; returns the seconds to wait before the next."""
        begin = time.monotonic()
        if not self._exchange.is_known and self._exchange.greet(begin + 0.01) is None:
            # One hello at a time; an answer that takes longer is found by the next call.
            self._tracker.saw_silence()
            return _HELLO_EVERY_S
        found = self._tracker.estimate()
        rates = {True: found.uplink, False: found.downlink}
        jitter_s = found.jitter.value if math.isfinite(found.jitter.value) else 0.0
        self._budget.update(
            begin,
            _at_least(found.uplink.value),
            _at_least(found.downlink.value),
            self._exchange.cost,
        )
        for uplink, rate in rates.items():
            is_due = rate.age_s > STALE_S or not rate.sd < UNSURE * rate.value
            is_due |= rate.samples < CONFIRMED_SAMPLES
            is_due &= begin - self._tried_s[uplink] > _TRY_AGAIN_S
            packets = self._budget.train(jitter_s, uplink=uplink) if is_due else 0
            if packets and found.silent_s is None:
                self._tried_s[uplink] = begin
                self._train(packets, begin + _TRAIN_PATIENCE_S, jitter_s, uplink=uplink)
                return 0.0
        patience_s = 0.2 + found.rtt.value + 4 * jitter_s
        self._ping(begin + min(_LONGEST_PATIENCE_S, patience_s))
        return max(0.0, begin + self._budget.ping_interval_s - time.monotonic())

    def _train(self, packets: int, deadline: float, jitter_s: float, *, uplink: bool) -> None:
        rate_bps = send_train(self._exchange, packets, deadline, jitter_s, uplink=uplink)
        if rate_bps > 0.0:
            sd = train_sd(packets, rate_bps, jitter_s)
            self._tracker.saw_rate(rate_bps, sd, uplink=uplink)

    def _ping(self, until: float) -> None:
        run = self._run = self._run or self._exchange.new_run()
        self._exchange.ping(run)
        self._exchange.take_pong(run, until)  # a later answer is found by the next call
        if run.unanswered >= SILENT_PINGS:
            self._tracker.saw_silence()
            self._exchange.forget()
            self._run = None


def _at_least(rate_bps: float) -> float:
    return rate_bps if math.isfinite(rate_bps) else ASSUMED_BPS
