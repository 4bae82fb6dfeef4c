"""Seconds that a message takes over a lossy link with TCP: the model the simulator rests on.

The message goes over a connection that is open but was idle, as between two offloads. Its time is

    one-way delay + bytes / goodput + waiting for acknowledgements + recovery from loss

The form is physical, the constants are fitted to measured transfers (docs/models.md):

- Goodput is the link's rate less headers and losses, bent towards what the congestion control
  reaches at this loss and RTT where that is less. CUBIC: the larger of its own response function
  (form of RFC 9438, section 5.1) and Reno's. BBR does not take loss for congestion.
- Slow start multiplies the window each RTT until it reaches the goodput; the sender waits for
  acknowledgements meanwhile (Cardwell, Savage and Anderson, "Modeling TCP Latency", INFOCOM 2000).
  Under jitter CUBIC leaves it early (HyStart takes a late packet for a queue, RFC 9406), which
  slows the growth. BBR mostly still knows the rate from earlier messages.
- Packets keep their order, so a message is as late as the latest of the packets it waits for.
- An idle link lets its first packets through at once (a token bucket's depth).
- A loss costs about a round trip. The seconds are those of a typical message: the rare timeout
  after a lost last packet (RFC 6298) is not in them, but in the spread around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from offload.elementwise import by_blocks, functions_for
from offload.errors import UnknownNameError
from offload.types import Quantity

SEGMENT_BYTES = 1448.0
HEADER_BYTES = 66.0
"""Ethernet, IP and TCP with timestamps: what a segment has besides payload on the link."""
FIRST_WINDOW_SEGMENTS = 10.0
"""RFC 6928; Linux falls back to it after an idle time (tcp_slow_start_after_idle)."""
BUCKET_BYTES = 3200.0
"""What an idle link lets through at once: netem's token bucket, see docs/network.md."""
LOSS_BURST_PACKETS = 2.0
"""Lost packets a loss event: most profiles leave the losing state with a chance of one half."""
LATE_PACKETS = 3.0
"""A late packet holds up those of about three standard deviations of delay behind it."""
MIN_RATE_BPS = 1e3
MIN_RTT_S = 1e-4
MAX_LOSS = 0.9
_SEGMENT_BITS = 8.0 * (SEGMENT_BYTES + HEADER_BYTES)
_HALF_ROOT = 0.5**0.5


@dataclass(frozen=True, slots=True)
class Constants:
    """What ``python benchmarks/fit_link_model.py`` fits, a set for each congestion control.

    Attributes:
        cubic, reno: factors of the two response functions; 0: loss does not slow the sender.
        growth_jitter: how jitter, as a share of the RTT, slows the doubling of slow start.
        waiting: share of slow start's waiting that is met; under 1 where the rate is mostly known.
        recovery_rtts: RTTs that losses cost, where there are any.
    """

    cubic: float
    reno: float
    growth_jitter: float
    waiting: float
    recovery_rtts: float


FITTED = {
    "cubic": Constants(
        cubic=2.72,
        reno=1.34,
        growth_jitter=3.78,
        waiting=1.0,
        recovery_rtts=1.14,
    ),
    "bbr": Constants(
        cubic=0.0,
        reno=0.0,
        growth_jitter=20.1,
        waiting=0.0718,
        recovery_rtts=0.634,
    ),
}
"""Of ``python benchmarks/fit_link_model.py`` and docs/measured/transfers-uml.csv.gz, November 2026.

BBR's ``growth_jitter`` is at the bound of the fit: under any jitter it hardly doubles.
"""
CONGESTION_CONTROLS = tuple(FITTED)


def _constants(name: str) -> Constants:
    if name not in FITTED:
        raise UnknownNameError("congestion control", name, CONGESTION_CONTROLS)
    return FITTED[name]


def goodput_bps(
    rate_bps: Quantity, rtt_s: Quantity, loss: Quantity, congestion_control: str = "cubic"
) -> Quantity:
    """Rate of payload that a long transfer settles at.

    Args:
        rate_bps, rtt_s, loss: the link in the direction of the transfer.
        congestion_control: ``"cubic"`` or ``"bbr"``.

    Returns:
        bit/s, in the common shape of the arguments.

    Raises:
        UnknownNameError: another congestion control.
    """
    xp = functions_for(rate_bps, rtt_s, loss)
    share = xp.minimum(loss, MAX_LOSS)
    line_s = _line_s(xp, rate_bps, share)
    rtt = xp.maximum(rtt_s, MIN_RTT_S)
    pace_s = _pace_s(xp, line_s, rtt, share, _constants(congestion_control))
    return 8.0 * SEGMENT_BYTES / pace_s


def _line_s(xp: Any, rate_bps: Quantity, loss: Quantity) -> Quantity:
    """Seconds that a full segment takes on the link, its repetitions counted in."""
    return _SEGMENT_BITS / ((1.0 - loss) * xp.maximum(rate_bps, MIN_RATE_BPS))


def _pace_s(
    xp: Any, line_s: Quantity, rtt_s: Quantity, loss: Quantity, constants: Constants
) -> Quantity:
    """Seconds from one segment to the next in a long transfer."""
    if constants.reno == 0.0:
        return line_s
    # A burst of losses within one round trip is one congestion event.
    events = xp.maximum(loss / LOSS_BURST_PACKETS, 1e-9)
    root = xp.sqrt(rtt_s / events)
    window = xp.maximum(constants.cubic * root * xp.sqrt(root), constants.reno / xp.sqrt(events))
    limited_s = rtt_s / window
    # Root of squares: near the crossing, now the one limit holds and now the other.
    return xp.sqrt(line_s * line_s + limited_s * limited_s)


def transfer_s(
    n_bytes: Quantity,
    rate_bps: Quantity,
    rtt_s: Quantity,
    loss: Quantity,
    congestion_control: str = "cubic",
    jitter_s: Quantity = 0.0,
    *,
    constants: Constants | None = None,
) -> Quantity:
    """Seconds from the first byte sent to the last byte received, in one direction.

    Args:
        n_bytes: size of the message.
        rate_bps: the link's rate in that direction.
        rtt_s: round-trip time; half of it is the way there.
        loss: share of packets lost.
        congestion_control: ``"cubic"`` or ``"bbr"``.
        jitter_s: standard deviation of the round-trip time, both directions taken to be alike.
        constants: others than the fitted ones, for the fit itself.

    Returns:
        Seconds, in the common shape of the arguments: about the median of many such messages.

    Raises:
        UnknownNameError: another congestion control.
    """
    fitted = _constants(congestion_control) if constants is None else constants

    def seconds(*given: Quantity) -> Quantity:
        return _message_s(fitted, *given)

    return by_blocks(seconds, n_bytes, rate_bps, rtt_s, loss, jitter_s)


def _message_s(
    fitted: Constants,
    n_bytes: Quantity,
    rate_bps: Quantity,
    rtt_s: Quantity,
    loss: Quantity,
    jitter_s: Quantity,
) -> Quantity:
    """:func:`transfer_s` with its constants."""
    xp = functions_for(n_bytes, rate_bps, rtt_s, loss, jitter_s)
    share = xp.minimum(loss, MAX_LOSS)
    rtt = xp.maximum(rtt_s, MIN_RTT_S)
    line_s = _line_s(xp, rate_bps, share)
    pace_s = _pace_s(xp, line_s, rtt, share, fitted)
    packets = xp.ceil(xp.maximum(n_bytes, 1.0) / SEGMENT_BYTES)
    bits = 8.0 * xp.maximum(n_bytes + HEADER_BYTES * packets - BUCKET_BYTES, 0.0)
    serial_s = bits / _SEGMENT_BITS * line_s
    if pace_s is not line_s:
        # The first window goes as the link takes it, whatever losses allow in the long run.
        serial_s += xp.maximum(packets - FIRST_WINDOW_SEGMENTS, 0.0) * (pace_s - line_s)

    gain = rtt / (rtt + fitted.growth_jitter * jitter_s)
    # Growing towards the link's rate where loss allows less would count the same wait twice.
    window_s = FIRST_WINDOW_SEGMENTS * pace_s  # to send the first window
    to_send_all = packets * gain / FIRST_WINDOW_SEGMENTS + 1.0
    to_reach_goodput = rtt / window_s * (gain + 1.0)
    per_round = xp.log1p(gain)
    grown = xp.log(xp.minimum(to_send_all, to_reach_goodput))
    rounds = xp.ceil(xp.maximum(grown / per_round - 1.0, 0.0))
    sending_s = xp.expm1(rounds * per_round) / gain * window_s
    waiting_s = fitted.waiting * xp.maximum(rounds * rtt - sending_s, 0.0)

    # The latest of m normal delays is 0.6 log2(m)^0.75 standard deviations late, within 7 % from
    # m = 2 to 1000.
    one_way_s = jitter_s * _HALF_ROOT
    held_up = xp.log2(xp.minimum(packets, 1.0 + LATE_PACKETS * one_way_s / pace_s))
    root = xp.sqrt(held_up)
    late_s = 0.6 * root * xp.sqrt(root) * one_way_s

    any_lost = -xp.expm1(packets * share / -LOSS_BURST_PACKETS)
    recovery_s = fitted.recovery_rtts * any_lost * rtt_s
    return 0.5 * rtt_s + late_s + serial_s + waiting_s + recovery_s
