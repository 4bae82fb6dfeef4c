"""Replaying a trace: what each row sets, when, and what happens to rows that come too late."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from machine import need_tun, need_uml, run_cli

from netem import Link, open_link
from netem.fidelity import Compared, agreement, means, replay, summary
from netem.player import Replayed, TracePlayer
from netem.trace_rows import MIN_RATE_BPS, TraceRows, departures, first_profile
from offload.errors import BackendError
from offload.link_profiles import get_profile
from offload.link_trace import LinkTrace
from offload.types import LinkProfile

pytestmark = pytest.mark.measured


def made(
    t_s: list[float], end_s: float, down_mbps: list[float], **columns: list[float]
) -> LinkTrace:
    rows = len(t_s)
    rtt_s = np.array(columns.get("rtt_ms", [40.0] * rows)) / 1e3
    loss = np.array(columns.get("loss", [0.0] * rows))
    return LinkTrace(
        name="made",
        t_s=np.array(t_s),
        end_s=end_s,
        uplink_bps=np.array(columns.get("up_mbps", [2.0] * rows)) * 1e6,
        downlink_bps=np.array(down_mbps) * 1e6,
        uplink_delay_s=rtt_s / 2,
        downlink_delay_s=rtt_s / 2,
        uplink_loss=loss,
        downlink_loss=loss,
        radio="lte",
        base=get_profile("lte"),
        assumed=(),
        source="by hand",
    )


class Recorder:
    """Stands in for a link: remembers what was set and when, and can be slow or break."""

    def __init__(self, max_rate_bps: float = 200e6) -> None:
        self.max_rate_bps = max_rate_bps
        self.set: list[tuple[float, LinkProfile]] = []
        self.takes_s: dict[int, float] = {}
        self.breaks_at: int | None = None

    def apply(self, profile: LinkProfile) -> None:
        if len(self.set) == self.breaks_at:
            raise BackendError("gone")
        self.set.append((time.monotonic(), profile))
        time.sleep(self.takes_s.get(len(self.set) - 1, 0.0))

    def rates(self) -> list[float]:
        return [profile.downlink.rate_bps / 1e6 for _, profile in self.set]


def test_a_row_as_a_profile() -> None:
    trace = made(
        [0, 1, 2, 3, 4],
        5,
        [10, 0, 500, 1, 1],
        up_mbps=[2, 2, 2, 2, 0.05],
        rtt_ms=[51, 40, 40, 40, 40],
        loss=[0, 0, 0.02, 0.9, 1.0],
    )
    rows = [TraceRows(trace, 200e6).profile(row) for row in range(5)]
    assert rows[0].downlink.rate_bps == 10e6
    assert rows[0].uplink.delay_s == rows[0].downlink.delay_s == 0.0255
    assert rows[0].downlink.jitter_s == 0.0
    assert (rows[0].downlink.loss, rows[0].radio, rows[0].name) == (0.0, "lte", "made")
    # The median downlink has 1 Mbit/s: its queue of 0.15 s is a buffer of 150 kbit throughout.
    assert [row.downlink.queue_s for row in rows] == [0.015, 1.5, 0.00075, 0.15, 0.15]
    assert rows[1].downlink.rate_bps == MIN_RATE_BPS  # an outage
    assert rows[2].downlink.rate_bps == 200e6  # clipped
    assert rows[4].uplink.rate_bps == MIN_RATE_BPS
    for row, share in ((2, 0.02), (3, 0.9), (4, 1.0)):
        assert rows[row].downlink.loss == pytest.approx(share, abs=2e-5)
        assert rows[row].downlink.loss_enter <= 1.0
    assert rows[2].downlink.loss_leave == 0.5  # bursts of two on average
    said = departures(trace, 200e6)
    assert [line.partition(" of 5")[0] for line in said] == [
        "uplink: 1", "downlink: 1", "downlink: 1"
    ]  # fmt: skip
    assert departures(made([0], 1, [5]), 200e6) == ()


def test_rows_are_set_on_an_absolute_clock() -> None:
    times = [round(0.04 * row, 2) for row in range(25)]
    link = Recorder()
    # Half of a row's length goes into setting it: were the clock not absolute, the last row
    # would be set half a second late.
    link.takes_s = dict.fromkeys(range(25), 0.02)
    began = time.monotonic()
    with TracePlayer(link, made(times, 1.0, [1.0 + row for row in range(25)])) as player:
        while not player.over:
            time.sleep(0.01)
        kept = player.report()
        assert player.position_s == 1.0
    offsets = [at - began - times[round(p.downlink.rate_bps / 1e6) - 1] for at, p in link.set]
    assert min(offsets) > -0.005
    assert np.median(offsets) < 0.02
    assert kept.applied + kept.skipped == 25
    assert kept.applied >= 15
    assert kept.late_median_s == pytest.approx(0.02, abs=0.015)  # counts what setting took


def test_late_rows_are_skipped_not_queued() -> None:
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0]
    link = Recorder()
    link.takes_s = {1: 0.25}  # setting the row of 0.1 s lasts until 0.35 s
    with TracePlayer(link, made(times, 1.2, [1, 2, 3, 4, 5, 6, 7])) as player:
        time.sleep(0.85)
        kept = player.report()
    rates = link.rates()
    assert rates[:2] == [1, 2]
    assert 3 not in rates  # its time had passed
    assert rates[-1] == 6
    assert kept.skipped >= 1
    assert kept.skipped + kept.applied == 6
    assert kept.late_worst_s >= 0.25


def test_it_loops_or_stays_at_the_end() -> None:
    trace = made([0.0, 0.1], 0.2, [1, 2])
    once, looped = Recorder(), Recorder()
    with (
        TracePlayer(once, trace) as first,
        TracePlayer(looped, trace, loop=True) as second,
    ):
        time.sleep(0.95)
        assert first.over
        assert not second.over
        assert 0.0 <= second.position_s < 0.2
        elapsed_s = second.elapsed_s
    assert once.rates() == [1, 2]
    rates = looped.rates()
    assert rates == [1 + index % 2 for index in range(len(rates))]
    assert 6 <= len(rates) <= elapsed_s / 0.1 + 2
    starts = [at for at, profile in looped.set if profile.downlink.rate_bps == 1e6]
    for turn, at in enumerate(starts):
        assert at - starts[0] >= 0.2 * turn - 0.005


def test_what_did_not_change_is_not_set_again() -> None:
    link = Recorder()
    trace = made([0, 0.05, 0.1, 0.15], 0.2, [5, 5, 5, 6])
    with TracePlayer(link, trace) as player:
        time.sleep(0.4)
        kept = player.report()
    assert link.rates() == [5, 6]
    assert kept.unchanged >= 1
    assert kept.applied == 2


def test_a_link_that_breaks_is_said() -> None:
    link = Recorder()
    link.breaks_at = 1
    with pytest.raises(BackendError, match="gone"), TracePlayer(
        link, made([0, 0.05], 0.1, [1, 2])
    ):  # fmt: skip
        time.sleep(0.3)
    link.set, link.breaks_at = [], 0
    with pytest.raises(BackendError, match="gone"):
        TracePlayer(link, made([0, 0.05], 0.1, [1, 2])).__enter__()
    assert not any(thread.name == "trace" for thread in threading.enumerate())


def test_leaving_ends_the_replay_at_once() -> None:
    began = time.monotonic()
    with TracePlayer(Recorder(), made([0, 100], 200, [1, 2])):
        pass
    assert time.monotonic() - began < 2.0
    assert not any(thread.name == "trace" for thread in threading.enumerate())


def test_means_over_bins_by_hand() -> None:
    trace = made([0, 0.25, 1.0], 2.0, [4, 8, 2])
    # Bin 0: half of it 4, half 8; bin 1: 8; bins 2 and 3: 2.
    np.testing.assert_allclose(means(trace, trace.downlink_bps, 2.0), [6e6, 8e6, 2e6, 2e6])


def test_agreement_by_hand() -> None:
    kept = Replayed(4, 0, 1, 0.001, 0.002)
    compared = Compared(np.array([1.0, 2, 3, 4]), np.array([0.5, 1, 1.5, np.nan]), kept)
    agrees = agreement(compared)
    assert agrees.correlation == pytest.approx(1.0)
    assert (agrees.median_ratio, agrees.bins, agrees.skipped) == (0.5, 3, 1)
    backwards = replace(compared, found=np.array([3.0, 2, 1, np.nan]))
    assert agreement(backwards).correlation == pytest.approx(-1.0)


@pytest.mark.uml
@pytest.mark.slow
def test_a_replay_over_uml_carries_what_it_sets() -> None:
    need_uml()
    # In the third row the downlink is out.
    trace = made(
        [0, 0.5, 1.5, 2, 3],
        3.5,
        [8, 3, 0, 12, 5],
        up_mbps=[2, 5, 5, 3, 1],
        rtt_ms=[30, 60, 60, 45, 90],
    )
    found = replay(trace, "uml", 3.5, "bbr")
    parts = summary(found)
    for name in ("downlink", "uplink"):
        # 97.2 % of a rate fit as payload; bins at a row's edge are off by the queue's drain.
        assert parts[name].correlation > 0.9, name
        assert parts[name].median_ratio == pytest.approx(0.972, abs=0.06), name
    for name in ("downlink_tcp", "uplink_tcp"):
        # TCP has hardly found a rate when the next one is set.
        assert 0.3 < parts[name].median_ratio < 1.1, name
    rtt = parts["rtt"]
    # The floor of the outage's rate lets 50 kbit of its bin through; what is ahead of it drains.
    assert found.downlink.found[3] < 1e6
    # Queues of a busy machine lengthen some pings, so the median bin is looked at.
    assert rtt.median_ratio == pytest.approx(1.0, abs=0.08)
    assert rtt.correlation > 0.8
    assert rtt.bins == 7


@pytest.mark.uml
def test_the_link_holds_the_row_that_is_due(uml_link: Link) -> None:
    trace = made([0, 0.5], 1.0, [300, 4], rtt_ms=[20, 80], loss=[0, 0.1])
    with TracePlayer(uml_link, trace) as player:
        assert uml_link.profile.downlink.rate_bps == uml_link.max_rate_bps == 200e6
        while (kept := player.report()).applied < 2:
            assert player.elapsed_s < 5.0
            time.sleep(0.01)
    assert uml_link.profile == TraceRows(trace, 200e6).profile(1)
    assert uml_link.profile.uplink.delay_s == 0.04
    assert kept.applied == 2
    assert kept.late_worst_s < 0.4


@pytest.mark.uml
def test_rates_that_are_no_round_numbers_read_back_as_set(uml_link: Link) -> None:
    # At 190 Mbit/s the bucket lasts 134.74 microseconds, of which tc hands over 134.
    mbps = [190, 199.157, 171.3, 33.333, 7.77, 0.123]
    rows = TraceRows(made([float(n) for n in range(6)], 6.0, mbps, up_mbps=mbps[::-1]), 200e6)
    for row in range(6):
        uml_link.apply(rows.profile(row))
        assert uml_link.profile == rows.profile(row)


def test_a_link_can_open_with_a_trace_whose_first_row_is_beyond_the_backend() -> None:
    need_tun()
    with open_link(first_profile(made([0], 1, [5000])), "tun") as link:
        assert link.profile.downlink.rate_bps == link.max_rate_bps


def test_the_command_replays_while_the_program_runs(tmp_path) -> None:
    need_tun()
    file = tmp_path / "two.csv"
    file.write_text("t_s,down_mbps,up_mbps,rtt_ms,loss\n0,5,5,20,0\n0.5,5,5,120,0\n")
    # A port where nothing listens refuses after one round trip.
    program = (
        "import socket, sys, time\n"
        "for _ in range(8):\n"
        "    start = time.monotonic()\n"
        "    socket.socket().connect_ex((sys.argv[1], 9))\n"
        "    print(time.monotonic() - start)\n"
        "    time.sleep(0.15)\n"
    )
    words = [sys.executable, "-c", program, "{edge}"]
    done = run_cli("play", str(file), "--backend", "tun", "--", *words)
    assert done.returncode == 0, done.stderr
    trips_s = [float(line) for line in done.stdout.split()]
    assert 0.02 <= min(trips_s) < 0.06
    assert 0.12 <= trips_s[-1] < 0.2
    for words in ("replaying", "2 rows, 1 s", "replayed: 2 rows set", "its last row stayed"):
        assert words in done.stderr
    assert "radio 'lte' from profile 'lte'" in done.stderr


def test_a_bad_trace_is_an_error_before_any_link(tmp_path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("t_s,down_mbps,up_mbps\n0,fast,5\n")
    done = run_cli("play", str(file), "--", "true")
    assert done.returncode == 2
    assert "bad.csv:2: down_mbps is 'fast'" in done.stderr
    done = run_cli("play", str(file))
    assert done.returncode == 2
    assert "no command given" in done.stderr
