"""Power models of a mobile device. Everything here is modelled: no energy counter is read.

Sources:
    Huang et al., "A Close Examination of Performance and Power Characteristics of 4G LTE
    Networks", MobiSys 2012, tables 3 and 4: LTE, 3G and Wi-Fi (mW/Mbps, base, tail, promotion).
    Narayanan et al., "A Variegated Look at 5G in the Wild", SIGCOMM 2021: a linear fit of its
    data for 5G low band and mmWave. Its figures include the phone with the screen on
    (2.2-2.5 W); the mean, 2.35 W, is taken off here so that only the radio is counted. It gives
    no tail in a form usable here: the tail and promotion of LTE stand in.
    PureEdgeSim's phone: CPU 0.2 W idle, 5 W at most.
"""

from __future__ import annotations

import numpy as np

from offload.elementwise import functions_for
from offload.errors import UnknownNameError
from offload.types import IntArray, Quantity, RadioPower

CPU_BUSY_W = 5.0
IDLE_W = 0.2
BATTERY_J = 54_000.0
"""Capacity of a phone's battery: 15 Wh (about 3,900 mAh at 3.85 V)."""

_PER_MBPS = 1e-3 / 1e6  # mW per Mbit/s -> W per bit/s
_PHONE_W = 2.35  # phone alone, screen on, in the 2021 data

_LTE_TAIL = {"tail_w": 1.060, "tail_s": 11.576, "promotion_w": 1.210, "promotion_s": 0.260}

RADIOS: dict[str, RadioPower] = {
    "wifi": RadioPower(
        uplink_w_per_bps=283.17 * _PER_MBPS,
        downlink_w_per_bps=137.01 * _PER_MBPS,
        uplink_base_w=0.13286,
        downlink_base_w=0.13286,
        tail_w=0.119,
        tail_s=0.238,
        promotion_w=0.0,
        promotion_s=0.0,
    ),
    "lte": RadioPower(
        uplink_w_per_bps=438.39 * _PER_MBPS,
        downlink_w_per_bps=51.97 * _PER_MBPS,
        uplink_base_w=1.28804,
        downlink_base_w=1.28804,
        **_LTE_TAIL,
    ),
    "3g": RadioPower(
        uplink_w_per_bps=868.98 * _PER_MBPS,
        downlink_w_per_bps=122.12 * _PER_MBPS,
        uplink_base_w=0.81788,
        downlink_base_w=0.81788,
        tail_w=0.804,
        tail_s=8.088,
        promotion_w=0.659,
        promotion_s=0.582,
    ),
    "5g_low": RadioPower(
        uplink_w_per_bps=32.2 * _PER_MBPS,
        downlink_w_per_bps=15.4 * _PER_MBPS,
        uplink_base_w=3.197 - _PHONE_W,
        downlink_base_w=2.883 - _PHONE_W,
        **_LTE_TAIL,
    ),
    "5g_mmwave": RadioPower(
        uplink_w_per_bps=9.15 * _PER_MBPS,
        downlink_w_per_bps=1.76 * _PER_MBPS,
        uplink_base_w=5.637 - _PHONE_W,
        downlink_base_w=5.221 - _PHONE_W,
        **_LTE_TAIL,
    ),
}
RADIO_NAMES: tuple[str, ...] = tuple(RADIOS)


def get_radio(name: str) -> RadioPower:
    """The radio of that name.

    Raises:
        UnknownNameError: there is none.
    """
    try:
        return RADIOS[name]
    except KeyError:
        raise UnknownNameError("radio", name, RADIOS) from None


def radio_batch(indices: IntArray) -> RadioPower:
    """A batch of radios.

    Args:
        indices: positions in :data:`RADIO_NAMES`, any shape.

    Returns:
        A RadioPower whose fields are arrays of that shape.
    """
    table = {
        field: np.array([getattr(radio, field) for radio in RADIOS.values()])
        for field in RadioPower.__slots__
    }
    return RadioPower(**{field: column[indices] for field, column in table.items()})


def moving_energy_j(
    radio: RadioPower,
    *,
    uplink_bytes: Quantity,
    downlink_bytes: Quantity,
    upload_s: Quantity,
    download_s: Quantity,
) -> Quantity:
    """Energy of the radio while it moves bits, in joules.

    It draws its base power plus a power in proportion to the rate, so an energy in proportion to
    the bits.
    """
    return (
        radio.uplink_w_per_bps * 8.0 * uplink_bytes
        + radio.downlink_w_per_bps * 8.0 * downlink_bytes
        + radio.uplink_base_w * upload_s
        + radio.downlink_base_w * download_s
    )


def tail_energy_j(radio: RadioPower, tail_left_s: Quantity) -> Quantity:
    """Energy a remote run costs by waking the radio and by keeping it awake, in joules.

    After a transfer the radio stays awake for ``tail_s``. A run that starts within the tail of the
    last one pays only for the time by which it prolongs that tail, and wakes nothing up. That
    makes the choice sequential.

    Args:
        tail_left_s: what is left of the last transfer's tail when this run starts.
    """
    xp = functions_for(tail_left_s, radio.tail_s)
    asleep = xp.less_equal(tail_left_s, 0.0)
    waking = xp.where(asleep, radio.promotion_w * radio.promotion_s, 0.0)
    tail = radio.tail_w * (radio.tail_s - xp.minimum(tail_left_s, radio.tail_s))
    return waking + tail
