"""Measures a link from the device's side: RTT, jitter, loss, and the rate of each direction.

    with ProbeResponder(edge_address) as responder:                  # on the edge
        with LinkProber(edge_address, responder.address[1]) as prober:   # on the device
            state = prober.measure()

RTT, jitter and loss come from 64-byte echoes on an idle queue; the echo says how long the responder
held it, and both ends use the kernel's receive times, so busy processors do not count as network.
Rates come from trains of packets sent back to back and timed at their receiver, just long enough
for the rate found (a dozen packets at 0.3 Mbit/s, some hundreds at 200). Rates count whole Ethernet
frames, as a link's queue does.
"""

from __future__ import annotations

import math
import os
import select
import threading
import time
from dataclasses import replace
from types import TracebackType

from netem.dispersion import train_rate_bps
from netem.namespaces import Endpoint
from netem.probe_results import Echoes, ProbeCost
from netem.probe_socket import open_probe_socket, receive
from netem.probe_wire import (
    HEADERS_BYTES,
    MAX_TRAIN_PACKETS,
    NO_COOKIE,
    TRAIN_BYTES,
    Kind,
    Message,
    decode,
    encode,
)
from netem.responder import ProbeResponder
from offload.errors import ConfigError
from offload.types import LinkState

__all__ = ["Echoes", "LinkProber", "ProbeCost", "ProbeResponder"]

MIN_TRAIN_PACKETS = 10
MAX_TRAINS = 3
ASK_AGAIN_S = 0.05
GREETING_S = 2.0
UNKNOWN_RATE_BPS = 1e3
"""Reported for a direction that was never measured, because no train has come through."""
_FRAME_BITS = 8 * (TRAIN_BYTES + HEADERS_BYTES)


class LinkProber:
    """Knows the state of a link by probing it; implements ``offload.interfaces.LinkEstimator``.

    Safe to use from several threads: measurements take turns.

    Args:
        edge_address: address of the :class:`ProbeResponder`.
        port: its UDP port.
        probe_interval_s: measure this often in a thread, from :meth:`start` on; None: only when
            :meth:`measure` is called (or :meth:`state` for the first time).
        smoothing: weight of the newest measurement in the estimate, above 0 up to 1.
        pings: echoes a measurement.
        endpoint: namespace to open the socket in; None: the caller's.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(
        self,
        edge_address: str,
        port: int,
        *,
        probe_interval_s: float | None = None,
        smoothing: float = 0.5,
        pings: int = 12,
        endpoint: Endpoint | None = None,
    ) -> None:
        if not 0.0 < smoothing <= 1.0:
            raise ConfigError(f"smoothing is {smoothing!r}; it must be above 0, up to 1")
        if pings < 2:
            raise ConfigError(f"pings is {pings!r}; a jitter needs at least 2")
        if probe_interval_s is not None and not probe_interval_s > 0:
            raise ConfigError(f"probe_interval_s is {probe_interval_s!r}; it must be above 0")
        self._interval_s = probe_interval_s
        self._smoothing = smoothing
        self._pings = pings
        if endpoint is None:
            self._socket = open_probe_socket("0.0.0.0", 0)
        else:
            self._socket = endpoint.call(open_probe_socket, "0.0.0.0", 0)
        self._peer = (edge_address, port)
        self._session = os.urandom(8)
        self._cookie = NO_COOKIE
        self._group = 0
        self._cost = ProbeCost()
        self._spacing_s = 0.02
        self._estimate: LinkState | None = None
        self._measured_at = 0.0
        self._measuring = threading.Lock()
        self._state_lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def cost(self) -> ProbeCost:
        """What probing has cost so far."""
        return self._cost

    def state(self) -> LinkState:
        """The smoothed estimate, with its age; measures first where there is none yet."""
        with self._state_lock:
            estimate, measured_at = self._estimate, self._measured_at
        if estimate is None:
            self.measure()
            return self.state()
        return replace(estimate, age_s=time.monotonic() - measured_at)

    def measure(self, timeout_s: float = 4.0) -> LinkState:
        """Probe the link now; returns this measurement alone, and folds it into the estimate.

        Takes ``pings`` at a quarter of the RTT each, a few round trips and a train or two each way:
        0.3 s on Wi-Fi, 1 s at an RTT of 100 ms; never much more than ``timeout_s``. On a dead link
        loss is 1, and RTT and rates are what was known before (or the time waited, and 1 kbit/s).
        """
        with self._measuring:
            deadline = time.monotonic() + timeout_s
            measured = self._measure(deadline, timeout_s)
            with self._state_lock:
                self._estimate = self._fold(measured)
                self._measured_at = time.monotonic()
            self._cost = replace(self._cost, measurements=self._cost.measurements + 1)
            return measured

    def echoes(self, count: int, spacing_s: float, timeout_s: float = 1.0) -> Echoes:
        """Ping ``count`` times, ``spacing_s`` apart, and wait ``timeout_s`` for the last answers.

        For loss in each direction by itself, over as many packets as it takes.
        """
        with self._measuring:
            if not self._greet(time.monotonic() + timeout_s + GREETING_S):
                return Echoes(count, (), 1.0, 1.0)
            return self._echo(count, spacing_s, time.monotonic() + count * spacing_s + timeout_s)

    def start(self) -> LinkProber:
        """Measure every ``probe_interval_s`` in a thread, if that was given."""
        if self._interval_s is not None and self._thread is None:
            self._thread = threading.Thread(target=self._keep_measuring, name="link prober")
            self._thread.daemon = True
            self._thread.start()
        return self

    def close(self) -> None:
        """Stop measuring and close the socket. Idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._socket.close()

    def __enter__(self) -> LinkProber:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _keep_measuring(self) -> None:
        interval_s = self._interval_s or 0.0
        while not self._stop.is_set():
            started = time.monotonic()
            self.measure()
            self._stop.wait(max(0.0, started + interval_s - time.monotonic()))

    def _measure(self, deadline: float, timeout_s: float) -> LinkState:
        known = self._estimate
        silent = LinkState(
            rtt_s=timeout_s if known is None else known.rtt_s,
            jitter_s=0.0 if known is None else known.jitter_s,
            loss=1.0,
            uplink_bps=UNKNOWN_RATE_BPS if known is None else known.uplink_bps,
            downlink_bps=UNKNOWN_RATE_BPS if known is None else known.downlink_bps,
        )
        if not self._greet(min(deadline, time.monotonic() + timeout_s / 2)):
            return silent
        patience_s = 0.5 if known is None else 0.2 + known.rtt_s + 4 * known.jitter_s
        last_ping = self._pings * self._spacing_s
        echoes = self._echo(
            self._pings, self._spacing_s, min(deadline, time.monotonic() + last_ping + patience_s)
        )
        if not echoes.rtts_s:
            self._cookie = NO_COOKIE  # perhaps the responder was started anew: greet it again
            return silent
        rtt_s = echoes.rtt_s
        jitter_s = silent.jitter_s if math.isnan(echoes.jitter_s) else echoes.jitter_s
        self._space(rtt_s, jitter_s)
        # Long enough for jitter before the queue to even out, short enough not to overflow it.
        train_s = min(0.25, max(0.03, 4.5 * jitter_s))
        idle_s = 2 * jitter_s + 0.03
        rates = []
        for rate_of, before in (
            (self._uplink_train, silent.uplink_bps),
            (self._downlink_train, silent.downlink_bps),
        ):
            first_bps = before if known is not None else 0.0
            rate_bps, packets = 0.0, 0
            for _ in range(MAX_TRAINS):
                needed = _train_packets(rate_bps or first_bps, train_s)
                if packets >= needed or time.monotonic() >= deadline:
                    break
                # A little more than needed, so that a rate found somewhat higher is fine too.
                tried = min(MAX_TRAIN_PACKETS, needed + needed // 4)
                found_bps = rate_of(tried, deadline, idle_s)
                if found_bps > 0.0:
                    rate_bps, packets = found_bps, tried
            rates.append(rate_bps or before)
        return LinkState(rtt_s, jitter_s, echoes.one_way_loss, rates[0], rates[1])

    def _fold(self, new: LinkState) -> LinkState:
        old, weight = self._estimate, self._smoothing
        if old is None:
            return new

        def mix(before: float, now: float) -> float:
            return (1.0 - weight) * before + weight * now

        return LinkState(
            rtt_s=mix(old.rtt_s, new.rtt_s),
            jitter_s=mix(old.jitter_s, new.jitter_s),
            # A dozen pings say little about a small loss, and all about a dead link.
            loss=new.loss
            if new.loss == 1.0
            else (1 - weight / 4) * old.loss + weight / 4 * new.loss,
            uplink_bps=mix(old.uplink_bps, new.uplink_bps),
            downlink_bps=mix(old.downlink_bps, new.downlink_bps),
        )

    def _greet(self, deadline: float) -> bool:
        """Get a cookie for our address; False where nobody answered."""
        if self._cookie == NO_COOKIE:
            asked = time.monotonic()
            found = self._ask(Message(Kind.HELLO, self._session), Kind.COOKIE, deadline)
            if found is not None:
                self._cookie = found[0].cookie
                self._space(time.monotonic() - asked, 0.0)
        return self._cookie != NO_COOKIE

    def _space(self, rtt_s: float, jitter_s: float) -> None:
        """Space pings apart: nearer together than their jitter, they would hold each other up."""
        self._spacing_s = min(0.06, max(0.01, 0.25 * rtt_s, 0.9 * jitter_s))

    def _echo(self, count: int, spacing_s: float, deadline: float) -> Echoes:
        self._group += 1
        sent_ns: dict[int, int] = {}
        rtts_s: dict[int, float] = {}
        last_index, reached_edge = -1, 0
        started = time.monotonic()
        while time.monotonic() < deadline and (len(rtts_s) < count or len(sent_ns) < count):
            due = started + len(sent_ns) * spacing_s
            if len(sent_ns) < count and time.monotonic() >= due:
                index = len(sent_ns)
                ping = Message(Kind.PING, self._session, self._cookie, self._group, index, count)
                sent_ns[index] = time.time_ns()
                self._send(ping)
                continue
            found = self._receive(min(deadline, due) if len(sent_ns) < count else deadline)
            if found is None:
                continue
            pong, arrived_ns = found
            ours = pong.kind is Kind.PONG and pong.group == self._group and pong.index in sent_ns
            if not ours or pong.index in rtts_s:
                continue
            rtt_ns = arrived_ns - sent_ns[pong.index] - pong.nanoseconds
            rtts_s[pong.index] = max(0, rtt_ns) / 1e9
            if pong.index > last_index:
                last_index, reached_edge = pong.index, min(pong.count, pong.index + 1)
        sent = len(sent_ns)
        if not rtts_s:
            return Echoes(max(1, sent), (), 1.0, 1.0)
        return Echoes(
            sent=sent,
            rtts_s=tuple(rtts_s.values()),
            uplink_loss=1.0 - reached_edge / (last_index + 1),
            downlink_loss=max(0.0, 1.0 - len(rtts_s) / reached_edge),
        )

    def _uplink_train(self, packets: int, deadline: float, idle_s: float) -> float:
        self._group += 1
        group = self._group
        train = [
            encode(Message(Kind.UPLINK_TRAIN, self._session, self._cookie, group, index, packets))
            for index in range(packets)
        ]
        for data in train:
            self._send_bytes(data)
        # Asked right behind the train, in the same queue: it arrives when the train has.
        request = Message(Kind.REPORT_REQUEST, self._session, self._cookie, group)
        found = self._ask(request, Kind.REPORT, deadline)
        return 0.0 if found is None else found[0].rate_bps

    def _downlink_train(self, packets: int, deadline: float, idle_s: float) -> float:
        self._group += 1
        group = self._group
        request = Message(Kind.TRAIN_REQUEST, self._session, self._cookie, group, 0, packets)
        found = self._ask(request, Kind.DOWNLINK_TRAIN, deadline)
        arrivals_ns: list[int] = []
        while found is not None:
            packet, arrived_ns = found
            if packet.kind is Kind.DOWNLINK_TRAIN and packet.group == group:
                arrivals_ns.append(arrived_ns)
                if packet.index + 1 == packet.count:
                    break
            # The last packet may be lost: wait no longer than any gap seen so far explains.
            gap_s = (arrivals_ns[-1] - arrivals_ns[0]) / 1e9 / max(1, len(arrivals_ns) - 1)
            until = min(deadline, time.monotonic() + max(idle_s, 4 * gap_s))
            found = self._receive(until)
        return train_rate_bps(arrivals_ns, TRAIN_BYTES + HEADERS_BYTES)

    def _ask(self, request: Message, wanted: Kind, deadline: float) -> tuple[Message, int] | None:
        """Ask until the first answer to this group; the responder answers repeats but once.

        Every 50 ms: where loss comes in bursts counted in packets, a patient asker who sends one
        packet at a time would stay within the burst.
        """
        while time.monotonic() < deadline:
            self._send(request)
            until = min(deadline, time.monotonic() + ASK_AGAIN_S)
            while (found := self._receive(until)) is not None:
                if found[0].kind is wanted and found[0].group == request.group:
                    return found
        return None

    def _send(self, message: Message) -> None:
        self._send_bytes(encode(message))

    def _send_bytes(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, self._peer)
        except OSError:
            return  # no way to the edge for now: that is loss, not an error of the caller's
        self._cost = replace(
            self._cost, uplink_bytes=self._cost.uplink_bytes + len(data) + HEADERS_BYTES
        )

    def _receive(self, until: float) -> tuple[Message, int] | None:
        """The next message of ours and its arrival time; None: none came in time."""
        while True:
            left_s = until - time.monotonic()
            if not select.select([self._socket], [], [], max(0.0, left_s))[0]:
                return None
            data, arrived_ns, sender = receive(self._socket)
            message = decode(data)
            if sender != self._peer or message is None or message.session != self._session:
                continue
            self._cost = replace(
                self._cost, downlink_bytes=self._cost.downlink_bytes + len(data) + HEADERS_BYTES
            )
            return message, arrived_ns


def _train_packets(rate_bps: float, train_s: float) -> int:
    """Packets that keep a bottleneck of that rate busy for ``train_s``; the least for rate 0."""
    return min(
        MAX_TRAIN_PACKETS, max(MIN_TRAIN_PACKETS, math.ceil(rate_bps * train_s / _FRAME_BITS))
    )
