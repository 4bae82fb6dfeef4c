"""Links under stress: what happens, and when, worked out from the profiles by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evidence.driving.stress import STRESSES, stress_trace
from netem.qdisc import check_direction
from netem.trace_rows import TraceRows
from offload.errors import UnknownNameError


def at(trace, t_s):
    row = trace.row_at(t_s)
    return (
        trace.uplink_bps[row], trace.downlink_bps[row], trace.rtt_s[row], trace.uplink_loss[row]
    )  # fmt: skip


def test_a_handover_slows_both_cells_to_a_tenth_for_two_seconds_at_three_times_the_rtt():
    trace = stress_trace("handover")
    assert trace.end_s == 44.0
    lossless = [at(trace, t_s)[:3] for t_s in (0.0, 19.9, 20.1, 21.9, 22.1, 41.9, 42.1, 43.9)]
    lte, drive = (14e6, 39e6, 0.040), (5.6e6, 15e6, 0.060)
    leaving_lte, leaving_drive = (1.4e6, 3.9e6, 0.120), (0.56e6, 1.5e6, 0.180)
    expected = [lte, lte, leaving_lte, leaving_lte, drive, drive, leaving_drive, leaving_drive]
    assert lossless == [pytest.approx(row) for row in expected]


def test_in_an_outage_nothing_passes_for_five_seconds():
    trace = stress_trace("outage")
    assert trace.end_s == 40.0
    dead = [t for t in np.arange(0.05, 40.0, 0.1) if at(trace, t)[0] == 0.0]
    assert (min(dead), max(dead)) == pytest.approx((15.05, 19.95))
    assert {at(trace, t)[3] for t in dead} == {1.0}
    assert at(trace, 14.9)[0] == at(trace, 20.1)[0] == 14e6


def test_a_ramp_falls_from_20_to_half_a_megabit_evenly_in_its_logarithm_and_returns():
    trace = stress_trace("ramp")
    assert (trace.rows, trace.end_s) == (60, 60.0)
    up = trace.uplink_bps
    assert (up[0], up.min(), int(up.argmin())) == pytest.approx((20e6, 0.5e6, 30))
    ratios = up[1:] / up[:-1]
    step = 40.0 ** (1 / 30)
    assert ratios == pytest.approx([1 / step] * 30 + [step] * 29)
    assert trace.downlink_bps == pytest.approx(2 * up)
    assert up[-1] * step == pytest.approx(up[0])  # replayed anew it goes on evenly


@pytest.mark.parametrize("name", STRESSES)
def test_every_row_is_one_that_a_link_can_be_set_to(name):
    trace = stress_trace(name)
    rows = TraceRows(trace, 200e6)
    for row in range(trace.rows):
        profile = rows.profile(row)
        check_direction(profile.uplink)
        check_direction(profile.downlink)
        assert profile.uplink.loss == pytest.approx(trace.uplink_loss[row], abs=1e-5)


def test_another_name_is_an_error_that_suggests():
    with pytest.raises(UnknownNameError, match="Did you mean 'outage'"):
        stress_trace("outages")
