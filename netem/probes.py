"""Measures a link from the device's side: RTT, jitter, loss, and the rate of each direction.

    with ProbeResponder(edge_address) as responder:                  # on the edge
        with LinkProber(edge_address, responder.address[1]) as prober:   # on the device
            state = prober.measure()

RTT, jitter and loss come from 64-byte echoes on an idle queue; the echo says how long the responder
held it, and both ends use the kernel's receive times, so busy processors do not count as network.
Rates come from trains of packets sent back to back and timed at their receiver, just long enough
for the rate found (a dozen packets at 0.3 Mbit/s, some hundreds at 200). Rates count whole Ethernet
frames, as a link's queue does.

With ``budget_share`` a thread keeps the estimate fresh at that share of the link's rate: a ping or
two a second, and a train for a direction whose rate nothing has shown for half a minute.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from netem.estimator import LinkEstimate, LinkTracker
from netem.namespaces import Endpoint
from netem.ping_run import PingRun
from netem.probe_exchange import ProbeExchange
from netem.probe_idle import IdleProbing
from netem.probe_pings import MOST_PINGS, ping_enough
from netem.probe_results import Echoes, ProbeCost
from netem.probe_trains import find_rate
from netem.responder import ProbeResponder
from offload.errors import ConfigError
from offload.types import LinkState

__all__ = ["Echoes", "LinkProber", "ProbeCost", "ProbeResponder"]

UNKNOWN_RATE_BPS = 1e3
"""Reported for a direction that was never measured, because no train has come through."""
_PINGING_SHARE = 0.4
"""Of a measurement's time, that further pings may take."""
_GREETING_S = 2.0
_FIRST_MEASUREMENTS = 3
"""At most, until both rates are known; then the background goes on by itself."""


class LinkProber:
    """Knows the state of a link by probing it; implements ``offload.interfaces.LinkEstimator``.

    Safe to use from several threads: measurements take turns.

    Args:
        edge_address: address of the :class:`ProbeResponder`.
        port: its UDP port.
        budget_share: share of each direction's rate that probing in the background may cost, from
            :meth:`start` on; None: probe only when :meth:`measure` is called (or :meth:`state`
            for the first time).
        pings: least echoes a measurement.
        endpoint: namespace to open the socket in; None: the caller's.
        tracker: where samples flow into; None: one of its own.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(
        self,
        edge_address: str,
        port: int,
        *,
        budget_share: float | None = None,
        pings: int = 12,
        endpoint: Endpoint | None = None,
        tracker: LinkTracker | None = None,
    ) -> None:
        if not 2 <= pings <= MOST_PINGS:
            raise ConfigError(
                f"pings is {pings!r}; it must be 2, which a jitter needs, to {MOST_PINGS}"
            )
        if budget_share is not None and not 0.0 < budget_share <= 1.0:
            raise ConfigError(f"budget_share is {budget_share!r}; it must be above 0, up to 1")
        self._tracker = tracker or LinkTracker()
        self._exchange = ProbeExchange(edge_address, port, endpoint, self._tracker.saw_ping)
        self._idle = (
            None
            if budget_share is None
            else IdleProbing(self._exchange, self._tracker, budget_share)
        )
        self._pings = pings
        self._waited_s = 0.0
        self._greeting_s = math.nan
        self._measurements = 0
        self._measuring = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def cost(self) -> ProbeCost:
        """What probing has cost so far."""
        return replace(self._exchange.cost, measurements=self._measurements)

    def estimate(self) -> LinkEstimate:
        """Every quantity with its own error and age; NaN for what was never measured."""
        return self._tracker.estimate()

    def state(self) -> LinkState:
        """The newest estimate, with its age; measures first where there is none yet."""
        found = self.estimate()
        if math.isnan(found.rtt.value) and found.silent_s is None:
            self.measure()
        return self._state()

    def measure(self, timeout_s: float = 4.0) -> LinkState:
        """Probe the link now; returns this measurement alone, and folds it into the estimate.

        Takes ``pings`` or more, spaced so that jitter does not make them hold each other up, a few
        round trips and a train or two each way: 0.3 s on Wi-Fi, 1.5 s at an RTT of 100 ms; never
        much more than ``timeout_s``. On a dead link loss is 1, and RTT and rates are what was known
        before (or the time waited, and 1 kbit/s).
        """
        with self._measuring:
            self._interrupt()
            self._waited_s = timeout_s
            self._measurements += 1
            return self._measure(time.monotonic() + timeout_s, timeout_s)

    def echoes(self, count: int, spacing_s: float, timeout_s: float = 1.0) -> Echoes:
        """Ping ``count`` times, ``spacing_s`` apart, and wait ``timeout_s`` for the last answers.

        For loss in each direction by itself, over as many packets as it takes. Their round-trip
        times enter the estimate as well.
        """
        with self._measuring:
            self._interrupt()
            if not self._greet(time.monotonic() + timeout_s + _GREETING_S):
                return Echoes(count, (), 1.0, 1.0)
            run = self._exchange.echo(
                lambda run: run.sent < count, lambda run: spacing_s, timeout_s
            )
            self._count_unanswered(run)
            return run.echoes()

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """No probes meanwhile: they would take the queue of one's own transfer for the link's RTT.

        Waits for a probe under way.
        """
        with self._measuring:
            yield

    def start(self) -> LinkProber:
        """Probe in a thread from now on, if a budget was given."""
        if self._idle is not None and self._thread is None:
            self._thread = threading.Thread(
                target=self._keep_probing, args=(self._idle,), name="link prober", daemon=True
            )
            self._thread.start()
        return self

    def close(self) -> None:
        """Stop probing and close the socket. Idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._exchange.close()

    def __enter__(self) -> LinkProber:
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _keep_probing(self, idle: IdleProbing) -> None:
        while self._measurements < _FIRST_MEASUREMENTS and not self._is_complete():
            self.measure()
        while not self._stop.is_set():
            with self._measuring:
                pause_s = idle.step()
            self._stop.wait(pause_s)

    def _is_complete(self) -> bool:
        """Nothing is unknown, or nothing can be known: the link is silent."""
        found = self._tracker.estimate()
        is_known = math.isfinite(found.uplink.value) and math.isfinite(found.downlink.value)
        return self._stop.is_set() or is_known or found.silent_s is not None

    def _state(self) -> LinkState:
        """What is known, with what stands for the unknown."""
        found = self._tracker.state()
        return LinkState(
            rtt_s=self._waited_s if math.isnan(found.rtt_s) else found.rtt_s,
            jitter_s=0.0 if math.isnan(found.jitter_s) else found.jitter_s,
            loss=found.loss,
            uplink_bps=UNKNOWN_RATE_BPS if math.isnan(found.uplink_bps) else found.uplink_bps,
            downlink_bps=UNKNOWN_RATE_BPS if math.isnan(found.downlink_bps) else found.downlink_bps,
            age_s=found.age_s,
        )

    def _measure(self, deadline: float, timeout_s: float) -> LinkState:
        if not self._greet(min(deadline, time.monotonic() + timeout_s / 2)):
            return self._silent()
        known = self._tracker.estimate()
        run = ping_enough(
            self._exchange,
            self._tracker,
            self._pings,
            until=time.monotonic() + _PINGING_SHARE * timeout_s,
            deadline=deadline,
            greeting_s=self._greeting_s,
        )
        if not run.rtts_s:
            self._exchange.forget()  # perhaps the responder was started anew
            return self._silent()
        self._count_unanswered(run)
        echoes = run.echoes()
        before = self._state()
        jitter_s = before.jitter_s if math.isnan(echoes.jitter_s) else echoes.jitter_s
        rates = []
        for uplink, rate in ((True, known.uplink), (False, known.downlink)):
            first_bps = 0.0 if math.isnan(rate.value) else rate.value
            rates.append(
                find_rate(
                    self._exchange, self._tracker, first_bps, deadline, jitter_s, uplink=uplink
                )
            )
        return LinkState(
            rtt_s=echoes.rtt_s,
            jitter_s=jitter_s,
            loss=echoes.one_way_loss,
            uplink_bps=rates[0] or before.uplink_bps,
            downlink_bps=rates[1] or before.downlink_bps,
        )

    def _count_unanswered(self, run: PingRun) -> None:
        """The last pings of a run that is over: no later answer says which way they were lost."""
        if run.rtts_s:
            self._tracker.saw_unanswered(run.unanswered)

    def _interrupt(self) -> None:
        if self._idle is not None:
            self._idle.interrupt()

    def _greet(self, deadline: float) -> bool:
        if not self._exchange.is_known:
            self._greeting_s = self._exchange.greet(deadline) or math.nan
        return self._exchange.is_known

    def _silent(self) -> LinkState:
        self._tracker.saw_silence()
        return self._state()
