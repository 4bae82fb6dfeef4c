"""Seconds that a message takes over a lossy link with TCP: the model the simulator rests on.

The message goes over a connection that is open but was idle, as between two offloads. Its time is

    one-way delay + bytes / goodput + waiting in slow start + expected recovery from loss

- Goodput is the link's rate less headers, or what the congestion control reaches at this loss and
  RTT if that is less. CUBIC: the larger of its own response function (RFC 9438, section 5.1,
  C = 0.4, beta = 0.7) and Reno's. BBR does not take loss for congestion: rate times (1 - loss).
- Slow start (RFC 5681, initial window of 10 segments, RFC 6928) doubles the window each RTT until
  it reaches the goodput; the sender waits for acknowledgements meanwhile (Cardwell, Savage and
  Anderson, "Modeling TCP Latency", INFOCOM 2000).
- A lost segment costs about one RTT where others follow it (fast retransmit); one among the last
  three costs a timeout (RFC 6298 as Linux has it: at least 200 ms).
"""

from __future__ import annotations

import numpy as np

from offload.errors import UnknownNameError
from offload.types import Quantity

SEGMENT_BYTES = 1448.0
HEADER_SHARE = 0.95
"""Share of a link's rate left for payload: 1448 of 1514 bytes a frame, and acknowledgements."""
INITIAL_WINDOW_BYTES = 10 * SEGMENT_BYTES
MIN_TIMEOUT_S = 0.2
LOSS_BURST_PACKETS = 2.0
"""Lost packets a loss event: most profiles leave the losing state with a chance of one half."""
MIN_RATE_BPS = 1e3
MAX_LOSS = 0.9
CONGESTION_CONTROLS = ("cubic", "bbr")


def _check_congestion_control(name: str) -> None:
    if name not in CONGESTION_CONTROLS:
        raise UnknownNameError("congestion control", name, CONGESTION_CONTROLS)


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
    _check_congestion_control(congestion_control)
    rate = np.maximum(rate_bps, MIN_RATE_BPS)
    share = np.minimum(loss, MAX_LOSS)
    line_bps = HEADER_SHARE * rate * (1.0 - share)
    if congestion_control == "bbr":
        return line_bps
    # A burst of losses within one round trip is one congestion event.
    events = np.maximum(share / LOSS_BURST_PACKETS, 1e-9)
    rtt = np.maximum(rtt_s, 1e-4)
    window = np.maximum(1.054 * (rtt / events) ** 0.75, 1.22 / np.sqrt(events))
    return np.minimum(line_bps, window * SEGMENT_BYTES * 8.0 / rtt)


def transfer_s(
    n_bytes: Quantity,
    rate_bps: Quantity,
    rtt_s: Quantity,
    loss: Quantity,
    congestion_control: str = "cubic",
) -> Quantity:
    """Seconds from the first byte sent to the last byte received, in one direction.

    Args:
        n_bytes: size of the message.
        rate_bps: the link's rate in that direction.
        rtt_s: round-trip time; half of it is the way there.
        loss: share of packets lost.
        congestion_control: ``"cubic"`` or ``"bbr"``.

    Returns:
        Seconds, in the common shape of the arguments.

    Raises:
        UnknownNameError: another congestion control.
    """
    goodput = goodput_bps(rate_bps, rtt_s, loss, congestion_control)
    serial_s = 8.0 * n_bytes / goodput

    # Growing towards the link's rate where loss allows less would count the same wait twice.
    window_s = 8.0 * INITIAL_WINDOW_BYTES / goodput  # to send the first window
    to_send_all = np.log2(np.maximum(n_bytes / INITIAL_WINDOW_BYTES + 1.0, 1.0)) - 1.0
    to_reach_goodput = np.log2(np.maximum(rtt_s / window_s, 1e-12))
    rounds = np.ceil(np.maximum(np.minimum(to_send_all, to_reach_goodput), 0.0))
    waiting_s = np.maximum(rounds * rtt_s - (2.0**rounds - 1.0) * window_s, 0.0)

    packets = np.ceil(np.maximum(n_bytes, 1.0) / SEGMENT_BYTES)
    keeps = np.log1p(-np.minimum(loss, MAX_LOSS))
    any_lost = -np.expm1(packets * keeps / LOSS_BURST_PACKETS)
    tail_lost = -np.expm1(np.minimum(packets, 3.0) * keeps)
    recovery_s = any_lost * rtt_s + tail_lost * np.maximum(MIN_TIMEOUT_S, 2.0 * rtt_s)
    return rtt_s / 2.0 + serial_s + waiting_s + recovery_s
