"""The rate of a link from a transfer that happened anyway."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from offload.link_model import SEGMENT_BYTES, transfer_s
from offload.types import LinkState

LEAST_SENSITIVITY = 0.5
"""Transfers whose time depends on the rate less than this say too little of it."""
MODEL_SD = 0.2
"""Standard deviation of ln(seconds measured / seconds the transfer model says)."""
MOST_EXPECTED_LOSSES = 0.2
"""Packets. A transfer that may well have lost some was slow for that reason, not for the rate."""
FRAME_SHARE = 1514 / 1448
"""Bytes on the link for each byte of payload in full segments."""
_RATES_BPS = np.geomspace(1e4, 1e9, 400)


class RateSample(NamedTuple):
    """A rate and the standard deviation of its logarithm."""

    rate_bps: float
    sd: float


def rate_of_transfer(
    n_bytes: int,
    seconds: float,
    link: LinkState,
    congestion_control: str,
    believed_bps: float = math.nan,
) -> RateSample | None:
    """The rate at which the transfer model of :mod:`offload.link_model` takes ``seconds``.

    So slow start, the way there and recovery from loss are taken off as the model has them. An
    error of the model, or a jitter, is an error of the rate divided by the sensitivity
    -d ln(seconds) / d ln(rate): 1 for a long transfer, 0 where only the RTT matters.

    Args:
        n_bytes: size of the message.
        seconds: from its first byte sent to its last byte received.
        link: what is known of RTT, jitter and loss; its rates are not looked at.
        congestion_control: the sender's.
        believed_bps: rate that is known already; NaN: none. A message too short to show that rate
            that took long all the same was held up by something, not necessarily by the link.

    Returns:
        None where the rate hardly shows in the time: a short message, or so long a one that loss
        probably slowed it down.
    """
    if link.loss * n_bytes / SEGMENT_BYTES > MOST_EXPECTED_LOSSES:
        return None
    modelled_s = np.asarray(
        transfer_s(float(n_bytes), _RATES_BPS, link.rtt_s, link.loss, congestion_control)
    )
    modelled_s = np.minimum.accumulate(modelled_s)  # rounds of slow start are whole numbers
    if not modelled_s[-1] < seconds < modelled_s[0]:
        return None
    logs, log_s = np.log(_RATES_BPS), np.log(modelled_s)
    found = float(np.interp(-math.log(seconds), -log_s, logs))
    at = found if math.isnan(believed_bps) else max(found, math.log(believed_bps))
    # Over half an octave each way, for the same reason.
    around = np.interp([at - 0.35, at + 0.35], logs, log_s)
    sensitivity = float(around[0] - around[1]) / 0.7
    if sensitivity < LEAST_SENSITIVITY:
        return None
    error = math.hypot(MODEL_SD, float(link.jitter_s) / seconds)
    return RateSample(math.exp(found), error / sensitivity)


def least_rate_bps(n_bytes: int, seconds: float) -> float:
    """The rate that a link must have at least, to carry that much in so short a time."""
    return 8 * FRAME_SHARE * n_bytes / seconds
