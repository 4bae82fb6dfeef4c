"""Transfer times against numbers worked out by hand from the formulas of docs/models.md.

The hand-worked ones use round constants; that the shipped ones are those of the measured data is
the matter of tests/benchmarks/test_link_model_fit.py.
"""

from __future__ import annotations

import csv
import gzip
import math
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offload.errors import UnknownNameError
from offload.link_model import FITTED, Constants, goodput_bps, transfer_s
from offload.link_profiles import get_profile

ROUND = Constants(
    cubic=1.0,
    reno=1.2,
    growth_jitter=5.0,
    waiting=1.0,
    recovery_rtts=1.0,
)
NEVER_SLOWED = replace(ROUND, cubic=0.0, reno=0.0)
WINDOW_BYTES = 14_480  # 10 segments of 1448 bytes, each 1514 bytes on the link
WINDOW_BITS = 121_120
BUCKET_BITS = 25_600  # 3,200 bytes go at once
MEASURED = Path(__file__).parents[2] / "docs" / "measured" / "transfers-uml.csv.gz"


def test_a_clean_link_carries_its_rate_less_the_headers() -> None:
    assert goodput_bps(10e6, 0.02, 0.0) == pytest.approx(10e6 * 1448 / 1514)
    assert goodput_bps(10e6, 0.02, 0.0, "bbr") == pytest.approx(10e6 * 1448 / 1514)


def test_bbr_loses_the_lost_share_alone() -> None:
    assert goodput_bps(10e6, 0.05, 0.01, "bbr") == pytest.approx(10e6 * 1448 / 1514 * 0.99)


def test_cubic_on_a_fast_lossy_link_is_held_to_its_window() -> None:
    # 0.5 % loss events. CUBIC's own window is (0.05 / 0.005)^0.75 = 5.623 segments, Reno's
    # 1 / sqrt(0.005) = 14.142; over 1 s of RTT it is (1 / 0.005)^0.75 = 53.183.
    fitted = FITTED["cubic"]
    short = max(5.623413 * fitted.cubic, 14.142136 * fitted.reno)
    assert goodput_bps(1e11, 0.05, 0.01) == pytest.approx(short * 11_584 / 0.05, rel=1e-4)
    long = max(53.18296 * fitted.cubic, 14.142136 * fitted.reno)
    assert goodput_bps(1e11, 1.0, 0.01) == pytest.approx(long * 11_584, rel=1e-4)


def test_where_both_limits_are_equal_cubic_gets_the_link_less_a_factor_of_root_two() -> None:
    window = 14.142136 * FITTED["cubic"].reno
    assert window > 5.623413 * FITTED["cubic"].cubic
    rate_bps = window * 12_112 / 0.05 / 0.99  # a segment takes as long on the line
    alone_bps = window * 11_584 / 0.05
    assert goodput_bps(rate_bps, 0.05, 0.01) == pytest.approx(alone_bps / 2**0.5, rel=1e-6)


def test_one_window_goes_without_waiting() -> None:
    # 50 ms there, 121,120 bit less the bucket's at 1 Mbit/s.
    expected_s = 0.05 + (WINDOW_BITS - BUCKET_BITS) / 1e6
    assert transfer_s(WINDOW_BYTES, 1e6, 0.1, 0.0, constants=ROUND) == pytest.approx(expected_s)


def test_what_fits_the_bucket_takes_the_way_alone() -> None:
    assert transfer_s(1000, 1e5, 0.08, 0.0, constants=ROUND) == pytest.approx(0.04)


def test_slow_start_waits_for_acknowledgements() -> None:
    # Ten windows over a fast, long link go in rounds of 1 + 2 + 4 + 3: three waits of an RTT, less
    # what it takes to send 1 + 2 + 4 windows.
    waiting_s = 3 * 0.1 - 7 * WINDOW_BITS / 100e6
    serial_s = (10 * WINDOW_BITS - BUCKET_BITS) / 100e6
    seconds = transfer_s(10 * WINDOW_BYTES, 100e6, 0.1, 0.0, constants=ROUND)
    assert seconds == pytest.approx(0.05 + serial_s + waiting_s)
    half = replace(ROUND, waiting=0.5)
    seconds = transfer_s(10 * WINDOW_BYTES, 100e6, 0.1, 0.0, constants=half)
    assert seconds == pytest.approx(0.05 + serial_s + waiting_s / 2)


def test_slow_start_ends_once_the_link_is_full() -> None:
    # A window takes 12.1 ms at 10 Mbit/s; after 2 rounds (4 windows, 48 ms) an RTT of 40 ms is
    # full: 2 waits, less 1 + 2 windows, however long the message.
    waiting_s = 2 * 0.04 - 3 * WINDOW_BITS / 10e6
    for windows in (10, 1000):
        serial_s = (windows * WINDOW_BITS - BUCKET_BITS) / 10e6
        seconds = transfer_s(windows * WINDOW_BYTES, 10e6, 0.04, 0.0, constants=ROUND)
        assert seconds == pytest.approx(0.02 + serial_s + waiting_s)


def test_jitter_slows_the_growth() -> None:
    # Jitter of a fifth of the RTT with a weight of 5 leaves half of the gain: rounds of 1, 1.5 and
    # 2.25 windows. Three windows go in 1 + 1.5 + 0.5: two waits, less 1 + 1.5 windows. Any of the
    # 30 packets may be late, since 3 x 14.14 ms is far more than they take; log2(30) = 4.907.
    jitter_s = 0.02
    waiting_s = 2 * 0.1 - 2.5 * WINDOW_BITS / 100e6
    serial_s = (3 * WINDOW_BITS - BUCKET_BITS) / 100e6
    late_s = 0.6 * 4.906891**0.75 * 0.0141421
    seconds = transfer_s(3 * WINDOW_BYTES, 100e6, 0.1, 0.0, "cubic", jitter_s, constants=ROUND)
    assert seconds == pytest.approx(0.05 + serial_s + waiting_s + late_s, rel=1e-5)


def test_a_lone_packet_is_as_late_as_the_mean_and_two_as_the_later() -> None:
    assert transfer_s(1000, 1e9, 0.1, 0.0, "cubic", 0.02) == pytest.approx(0.05)
    # The later of two normal delays: 1 / sqrt(pi) = 0.564 standard deviations, which 0.6 is near.
    late_s = transfer_s(2000, 1e9, 0.1, 0.0, "cubic", 0.02) - 0.05
    assert late_s == pytest.approx(0.564 * 0.02 / 2**0.5, rel=0.07)


def test_a_window_held_down_by_loss_is_not_waited_for_twice() -> None:
    # 4 % loss: Reno's window is 1.2 / sqrt(0.02) = 8.485 segments, less than the first window, so
    # there is no slow start: after a first window the message goes at 8.485 segments each 50 ms,
    # whatever the rate.
    pace_s = 0.05 / (1.2 / 0.02**0.5)
    packets = 1000
    recovery_s = 0.05  # 500 x 0.04 loss events: one there is
    expected_s = 0.025 + (packets - 10) * pace_s + recovery_s
    for rate_bps in (1e10, 1e11):
        seconds = transfer_s(packets * 1448, rate_bps, 0.05, 0.04, constants=ROUND)
        assert seconds == pytest.approx(expected_s, rel=1e-3)


def test_a_lost_lone_packet_costs_its_recovery() -> None:
    # 10 % loss, one packet: half as many loss events as losses.
    lost = 1 - math.exp(-0.05)
    seconds = transfer_s(100, 1e6, 0.04, 0.1, constants=NEVER_SLOWED)
    assert seconds == pytest.approx(0.02 + lost * 0.04)


def test_arrays_and_single_numbers_agree() -> None:
    rng = np.random.default_rng(1)
    n_bytes = 10 ** rng.uniform(0, 7, 200)
    rate_bps = 10 ** rng.uniform(4, 9, 200)
    rtt_s = 10 ** rng.uniform(-4, 0.5, 200)
    loss = rng.choice([0.0, 0.001, 0.05, 0.5], 200)
    jitter_s = rtt_s * rng.choice([0.0, 0.05, 0.5], 200)
    for control in ("cubic", "bbr"):
        batch = transfer_s(n_bytes, rate_bps, rtt_s, loss, control, jitter_s)
        alone = [
            transfer_s(float(n), float(r), float(t), float(p), control, float(j))
            for n, r, t, p, j in zip(n_bytes, rate_bps, rtt_s, loss, jitter_s, strict=True)
        ]
        np.testing.assert_allclose(batch, alone, rtol=1e-12)
        assert np.all(np.isfinite(batch))
        assert np.all(batch >= rtt_s / 2)


def test_more_loss_or_jitter_or_less_rate_is_never_faster() -> None:
    sizes = np.array([100.0, 1e4, 1e6])
    for control in ("cubic", "bbr"):
        by_loss = [transfer_s(sizes, 1e7, 0.05, p, control, 0.005) for p in (0.0, 0.01, 0.1, 0.5)]
        assert np.all(np.diff(by_loss, axis=0) > 0)
        for loss in (0.0, 0.001, 0.01, 0.1):
            rates = np.geomspace(1e9, 1e5, 200)[:, None]
            by_rate = transfer_s(sizes, rates, 0.05, loss, control)
            assert np.all(np.diff(by_rate, axis=0) >= -1e-12)
        by_jitter = [transfer_s(sizes[1:], 1e7, 0.05, 0.0, control, j) for j in (0.0, 0.005, 0.02)]
        assert np.all(np.diff(by_jitter, axis=0) > 0)


@pytest.mark.parametrize(
    ("profile", "direction", "control", "n_bytes"),
    [
        ("5g", "up", "cubic", 1_000_000),
        ("lte", "up", "cubic", 300_000),
        ("wifi", "up", "bbr", 1_000_000),
        ("lte", "down", "bbr", 5_000_000),
        ("3g", "up", "bbr", 300_000),
        ("lte_drive", "up", "bbr", 100_000),
        ("congested", "up", "bbr", 1_000_000),
    ],
)
def test_the_shipped_constants_are_near_the_measured_medians(
    profile: str, direction: str, control: str, n_bytes: int
) -> None:
    case = [profile, direction, control, str(n_bytes), "ok"]
    with gzip.open(MEASURED, "rt", newline="") as file:
        seconds = [
            float(row["seconds"])
            for row in csv.DictReader(file)
            if [
                row["link"], row["direction"], row["congestion_control"], row["n_bytes"],
                row["outcome"],
            ] == case
        ]  # fmt: skip
    assert len(seconds) >= 2
    link = get_profile(profile)
    one_way = link.uplink if direction == "up" else link.downlink
    predicted_s = transfer_s(
        n_bytes,
        one_way.rate_bps,
        2 * one_way.delay_s,
        one_way.loss,
        control,
        2**0.5 * one_way.jitter_s,
    )
    assert predicted_s == pytest.approx(statistics.median(seconds), rel=0.25)


def test_an_unknown_congestion_control_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"'cubc'.*Did you mean 'cubic'"):
        goodput_bps(1e6, 0.1, 0.0, "cubc")
    with pytest.raises(UnknownNameError, match=r"'cubc'.*Did you mean 'cubic'"):
        transfer_s(1000, 1e6, 0.1, 0.0, "cubc")
