"""Transfer times against numbers worked out by hand from the formulas of docs/models.md."""

from __future__ import annotations

import numpy as np
import pytest

from offload.errors import UnknownNameError
from offload.link_model import goodput_bps, transfer_s

WINDOW_BYTES = 14_480  # 10 segments of 1448 bytes


def test_a_clean_link_carries_its_rate_less_the_headers() -> None:
    assert goodput_bps(10e6, 0.02, 0.0) == pytest.approx(9.5e6)
    assert goodput_bps(10e6, 0.02, 0.0, "bbr") == pytest.approx(9.5e6)


def test_bbr_loses_the_lost_share_alone() -> None:
    assert goodput_bps(10e6, 0.05, 0.01, "bbr") == pytest.approx(0.95 * 10e6 * 0.99)


def test_cubic_at_one_percent_loss_falls_back_to_reno_on_a_short_path() -> None:
    # 0.5 % loss events: CUBIC 1.054 * (0.05 / 0.005)^0.75 = 5.9 segments, Reno 1.22 / sqrt(0.005)
    # = 17.2534: 17.2534 * 11584 bit / 50 ms.
    assert goodput_bps(1e9, 0.05, 0.01, "cubic") == pytest.approx(3.9973e6, rel=1e-4)
    # The same link with BBR: 940 Mbit/s, some 235 times as much.
    assert goodput_bps(1e9, 0.05, 0.01, "bbr") == pytest.approx(940.5e6)


def test_cubic_outgrows_reno_on_a_long_path() -> None:
    # 1.054 * (1 / 0.005)^0.75 = 1.054 * 53.183 = 56.055 segments of 11584 bit a second.
    assert goodput_bps(1e9, 1.0, 0.01, "cubic") == pytest.approx(649_340, rel=1e-4)


def test_cubic_never_exceeds_the_link() -> None:
    assert goodput_bps(1e6, 0.05, 0.01, "cubic") == pytest.approx(0.95e6 * 0.99)


def test_one_window_goes_without_waiting() -> None:
    # 50 ms there, 115,840 bit at 0.95 Mbit/s.
    assert transfer_s(WINDOW_BYTES, 1e6, 0.1, 0.0) == pytest.approx(0.05 + 0.11584 / 0.95)


def test_slow_start_waits_for_acknowledgements() -> None:
    # Ten windows over a fast, long link go in rounds of 1 + 2 + 4 + 3: three waits of an RTT, less
    # what it takes to send 1 + 2 + 4 windows of 115,840 bit.
    waiting_s = 3 * 0.1 - 7 * 115_840 / 95e6
    serial_s = 10 * WINDOW_BYTES * 8 / 95e6
    assert transfer_s(10 * WINDOW_BYTES, 100e6, 0.1, 0.0) == pytest.approx(
        0.05 + serial_s + waiting_s
    )


def test_slow_start_ends_once_the_link_is_full() -> None:
    # A window takes 12.2 ms at 9.5 Mbit/s; after 2 rounds (4 windows, 49 ms) an RTT of 40 ms is
    # full: 2 waits, less 1 + 2 windows, however long the message.
    waiting_s = 2 * 0.04 - 3 * 115_840 / 9.5e6
    for n_bytes in (10 * WINDOW_BYTES, 1000 * WINDOW_BYTES):
        expected_s = 0.02 + n_bytes * 8 / 9.5e6 + waiting_s
        assert transfer_s(n_bytes, 10e6, 0.04, 0.0) == pytest.approx(expected_s)


def test_a_window_held_down_by_loss_is_not_waited_for_twice() -> None:
    # 4 % loss: Reno's window is 1.22 / sqrt(0.02) = 8.63 segments, less than the first window, so
    # there is no slow start: the message goes at 8.63 segments each 50 ms, whatever the rate.
    goodput = 1.22 / 0.02**0.5 * 11_584 / 0.05
    packets = 1000
    recovery_s = (1 - 0.96 ** (packets / 2)) * 0.05 + (1 - 0.96**3) * 0.2
    expected_s = 0.025 + packets * 11_584 / goodput + recovery_s
    for rate_bps in (1e8, 1e9):
        seconds = transfer_s(packets * 1448, rate_bps, 0.05, 0.04)
        assert seconds == pytest.approx(expected_s)


def test_a_lost_lone_packet_costs_a_timeout() -> None:
    # 10 % loss, one packet: 0.1 timeouts of 200 ms, and 1 - sqrt(0.9) round trips.
    serial_s = 800 / (0.95e6 * 0.9)
    recovery_s = 0.1 * 0.2 + (1 - 0.9**0.5) * 0.04
    assert transfer_s(100, 1e6, 0.04, 0.1, "bbr") == pytest.approx(0.02 + serial_s + recovery_s)


def test_a_timeout_is_two_round_trips_where_those_are_longer() -> None:
    fast = transfer_s(100, 1e6, 0.3, 0.1, "bbr")
    recovery_s = 0.1 * 0.6 + (1 - 0.9**0.5) * 0.3
    assert fast == pytest.approx(0.15 + 800 / (0.95e6 * 0.9) + recovery_s)


def test_arrays_and_single_numbers_agree() -> None:
    rng = np.random.default_rng(1)
    n_bytes = 10 ** rng.uniform(0, 7, 200)
    rate_bps = 10 ** rng.uniform(4, 9, 200)
    rtt_s = 10 ** rng.uniform(-4, 0.5, 200)
    loss = rng.choice([0.0, 0.001, 0.05, 0.5], 200)
    for control in ("cubic", "bbr"):
        batch = transfer_s(n_bytes, rate_bps, rtt_s, loss, control)
        alone = [
            transfer_s(float(n), float(r), float(t), float(p), control)
            for n, r, t, p in zip(n_bytes, rate_bps, rtt_s, loss, strict=True)
        ]
        np.testing.assert_allclose(batch, alone, rtol=1e-12)
        assert np.all(batch > rtt_s / 2)


def test_more_loss_or_less_rate_is_never_faster() -> None:
    sizes = np.array([100.0, 1e4, 1e6])
    for control in ("cubic", "bbr"):
        by_loss = [transfer_s(sizes, 1e7, 0.05, p, control) for p in (0.0, 0.01, 0.1, 0.5)]
        assert np.all(np.diff(by_loss, axis=0) > 0)
        for loss in (0.0, 0.001, 0.01, 0.1):
            rates = np.geomspace(1e9, 1e5, 200)[:, None]
            by_rate = transfer_s(sizes, rates, 0.05, loss, control)
            assert np.all(np.diff(by_rate, axis=0) >= -1e-12)


def test_an_unknown_congestion_control_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"'cubc'.*Did you mean 'cubic'"):
        goodput_bps(1e6, 0.1, 0.0, "cubc")
