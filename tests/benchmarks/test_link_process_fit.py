"""Statistics of links against hand-worked and closed-form ones; the fit's parts; what is shown."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.link_process_fit.fitting import fit_spread, quiet_loss
from benchmarks.link_process_fit.panels import Panels, measured, synthetic
from benchmarks.link_process_fit.statistics import (
    RATE,
    autocorrelation,
    describe,
    describe_loss,
    log_ratios,
    spreads,
    stays,
)
from envs.config import LinkProcessConfig
from offload.errors import TraceError
from offload.link_trace import load_traces

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "docs" / "measured" / "link-process.json"
COMMAND = [sys.executable, str(ROOT / "benchmarks" / "fit_link_process.py")]


def test_stays_are_counted_by_length_and_worst() -> None:
    nan = np.nan
    panel = np.array(
        [[8.0, 0.5], [0.5, 8.0], [0.2, 8.0], [8.0, 8.0], [8.0, 8.0], [0.0, 0.1], [8.0, nan]]
    )
    logs = log_ratios(panel)
    rows, worst = stays(logs, 0.1)
    # First link: two rows down to 0.2/8, one at 0 (cut at 0.01). Second: one at each end.
    assert rows.tolist() == [2, 1, 1, 1]
    np.testing.assert_allclose(worst, [0.025, 0.01, 0.0625, 0.0125])
    assert stays(logs, 0.03)[0].tolist() == [1, 1, 1]


def test_a_description_tells_stays_by_time_and_quantiles_by_name() -> None:
    # 100 rows about 1, and 25 rows in 5 stays at 0.05.
    panel = np.tile(np.r_[np.linspace(0.9, 1.1, 20), np.full(5, 0.05)], 5)[:, None]
    found = describe(panel, RATE)
    median = np.median(panel)
    assert found["beyond 0.1, share of time"] == pytest.approx(0.2)
    assert found["beyond 0.1, mean s"] == pytest.approx(2.5)
    assert found["beyond 0.1, worst, median"] == pytest.approx(0.05 / median)
    assert found["beyond 0.03, share of time"] == 0.0
    assert found["quantile 0.1"] == pytest.approx(np.log(0.05 / median))
    assert found["quantile 0.99"] == pytest.approx(np.log(1.1 / median))


def test_spikes_are_stays_above() -> None:
    panel = np.array([[1.0], [1.0], [4.0], [2.0], [1.0], [1.6], [1.0]])
    rows, worst = stays(log_ratios(panel), 1.5)
    assert rows.tolist() == [2, 1]
    np.testing.assert_allclose(worst, [4.0, 1.6])
    assert stays(log_ratios(panel), 5.0)[0].size == 0


def test_the_autocorrelation_is_that_of_a_known_process() -> None:
    rng = np.random.default_rng(0)
    keep = np.exp(-0.5 / 3.0)
    path = np.zeros((4000, 50))
    for row in range(1, 4000):
        path[row] = keep * path[row - 1] + np.sqrt(1 - keep**2) * rng.standard_normal(50)
    path[3000:, :10] = np.nan
    found = autocorrelation(0.5 * path, (0.5, 3.0, 6.0))
    np.testing.assert_allclose(found, np.exp([-0.5 / 3, -1.0, -2.0]), atol=0.02)
    np.testing.assert_allclose(spreads(0.5 * path).mean(), 0.5, rtol=0.03)


def test_loss_is_told_by_share_and_by_what_follows() -> None:
    loss = np.zeros((30, 2))
    loss[0:20, 0] = 0.2
    found = describe_loss(loss)
    assert found["mean"] == pytest.approx(4.0 / 60)
    assert found["rows with loss, share"] == pytest.approx(20 / 60)
    assert found["links with loss, share"] == pytest.approx(0.5)
    assert found["mean where there is loss"] == pytest.approx(0.2)
    assert found["loss 5 s later too"] == pytest.approx(0.5)


def test_the_spread_leaves_out_radios_and_what_links_do_within() -> None:
    rng = np.random.default_rng(1)
    radios = ["lte"] * 3000 + ["5g_low"] * 3000
    own = 0.6 * rng.standard_normal(6000) + np.repeat([0.0, 2.0], 3000)
    within = 0.8 * rng.standard_normal(6000)
    drawn = np.exp(0.8 * rng.standard_normal(20_000))
    found = fit_spread(np.exp(own + within), radios, drawn)
    assert found == pytest.approx(0.6, abs=0.05)
    assert fit_spread(np.exp(0.1 * within), radios, drawn) == 0.0


def _like(rows: int = 80, links: int = 5) -> Panels:
    rates = np.ones((rows, links))
    rates[50:, 1] = np.nan
    return Panels(rates, rates, np.ones((60, links)), np.zeros((60, links)))


def test_quiet_loss_is_that_of_windows_without_a_spike() -> None:
    panels = _like()
    panels.ping_loss[:] = 0.04
    panels.rtt[3] = 2.0
    panels.ping_loss[:10] = 0.5
    assert quiet_loss(panels) == pytest.approx(0.02)


def test_synthetic_panels_have_the_lengths_and_the_moments_asked_for() -> None:
    # So slow that a half second's mean is the value itself, and an episode a single one.
    config = LinkProcessConfig(
        rate_spread=0.0,
        rate_sigma=0.5,
        rate_memory_s=1e6,
        rtt_spread=0.3,
        rtt_sigma=0.0,
        volatility_sigma=0.0,
        disturbance_every_s=np.inf,
    )
    drawn = synthetic(np.random.default_rng(2), config, _like(), sets=400, base_loss=0.02)
    assert drawn.uplink.shape == drawn.downlink.shape == (80, 2000)
    assert drawn.rtt.shape == drawn.ping_loss.shape == (60, 2000)
    ended = np.isnan(drawn.uplink)
    assert ended.sum() == 400 * 30
    assert np.all(ended[50:, 1::5])
    assert np.log(drawn.uplink[0]).std() == pytest.approx(0.5, rel=0.08)
    assert np.log(drawn.rtt[0]).std() == pytest.approx(0.3, rel=0.08)
    # Both ways lose 2 %; 12,000 windows of 25 pings.
    assert drawn.ping_loss.mean() == pytest.approx(1 - 0.98**2, rel=0.05)
    np.testing.assert_array_equal(drawn.ping_loss[0], drawn.ping_loss[9])


def test_dips_of_synthetic_links_take_the_time_of_disturbances() -> None:
    # Long disturbances, and nothing else moves: a dip below 0.1 is a severity above a half.
    config = LinkProcessConfig(
        rate_sigma=0.0,
        rtt_sigma=0.0,
        disturbance_every_s=40.0,
        disturbance_lasts_s=8.0,
        disturbance_rate_floor=0.01,
    )
    drawn = synthetic(np.random.default_rng(3), config, _like(rows=400), sets=600)
    rows, _ = stays(log_ratios(drawn.downlink), 0.1)
    assert rows.sum() / np.isfinite(drawn.downlink).sum() == pytest.approx(8 / 48 / 2, rel=0.12)
    never = replace(config, disturbance_every_s=np.inf)
    calm = synthetic(np.random.default_rng(3), never, _like(rows=400), sets=2)
    assert stays(log_ratios(calm.downlink), 0.3)[0].size == 0


def _write_trace(path: Path, rows: int, step_s: float = 0.5) -> None:
    lines = ["t_s,down_mbps,up_mbps,rtt_ms,loss"]
    lines += [
        f"{step_s * row},{10 + row % 3},{5 + row % 2},{40 + row % 5},0" for row in range(rows)
    ]
    path.write_text("\n".join(lines) + "\n")


def test_traces_of_other_rows_or_too_short_are_refused_by_name(tmp_path: Path) -> None:
    _write_trace(tmp_path / "slow.csv", 100, step_s=1.0)
    with pytest.raises(TraceError, match=r"slow\.csv: its rows are not 0\.5 s apart"):
        measured(load_traces(tmp_path))
    (tmp_path / "slow.csv").unlink()
    _write_trace(tmp_path / "short.csv", 30)
    with pytest.raises(TraceError, match=r"short\.csv: 30 rows; the 30 s of pings are 60"):
        measured(load_traces(tmp_path))


def test_measured_panels_hold_the_traces_as_they_are(tmp_path: Path) -> None:
    _write_trace(tmp_path / "a.csv", 100)
    _write_trace(tmp_path / "b.csv", 70)
    panels = measured(load_traces(tmp_path))
    assert panels.uplink.shape == (100, 2)
    assert np.isnan(panels.uplink[:, 1]).sum() == 30
    np.testing.assert_allclose(panels.downlink[:3, 0], [10e6, 11e6, 12e6])
    np.testing.assert_allclose(panels.rtt[:2, 1], [0.040, 0.041])


def test_the_defaults_are_what_was_fitted() -> None:
    fitted = json.loads(RESULT.read_text())["settings"]
    now = LinkProcessConfig()
    assert {name: getattr(now, name) for name in fitted} == fitted


def test_without_traces_the_last_fit_is_shown_and_said_so(tmp_path: Path) -> None:
    picture = tmp_path / "fit.png"
    done = subprocess.run(
        [*COMMAND, "--picture", str(picture)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert "no --traces: showing the fit in" in done.stdout
    assert "root mean square of what is left of the differences" in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_not_there_is_an_error_in_a_line(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    done = subprocess.run(
        [*COMMAND, "--traces", str(missing)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 1
    assert done.stderr.startswith("fit_link_process: ")
    assert "nowhere" in done.stderr
    assert len(done.stderr.splitlines()) == 1
