"""The link model's fit: parts against hand-worked numbers, results against the shipped data."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fit_link_model import Config, run
from benchmarks.link_model_fit.campaign import Row, grid_links
from benchmarks.link_model_fit.fitting import fit, predict
from benchmarks.link_model_fit.scores import classes, furthest, score, tails
from benchmarks.link_model_fit.transfers import Transfers, for_validation, load_transfers
from benchmarks.transfers import Config as CampaignConfig
from benchmarks.transfers import blocks_of, missing
from offload.errors import ConfigError
from offload.link_model import FITTED, Constants, transfer_s

ROOT = Path(__file__).parents[2]
DATA = ROOT / "docs" / "measured" / "transfers-uml.csv.gz"
_ROW = Row(
    link="lte",
    direction="up",
    congestion_control="cubic",
    n_bytes=10_000,
    seconds=0.1,
    outcome="ok",
    rate_bps=14e6,
    reverse_bps=39e6,
    delay_s=0.02,
    jitter_s=0.004,
    loss_enter=0.01,
    loss_leave=0.49,
    queue_s=0.15,
    number=3,
    idle_s=1.0,
    cwnd_segments=10,
    retransmits=0,
    stall_s=0.001,
    backend="uml",
    repetition=0,
    seed=1,
)


def _write(path: Path, rows: list[Row]) -> Path:
    names = Row.__dataclass_fields__.keys()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([getattr(row, name) for name in names] for row in rows)
    return path


def _made_up(constants: dict[str, Constants]) -> Transfers:
    """Transfers over random links that take just what the model says."""
    rng = np.random.default_rng(5)
    count = 600
    rtt_s = 10 ** rng.uniform(-2.3, -0.5, count)
    made = Transfers(
        link=np.array([f"grid-{index:03d}" for index in range(count)]),
        cell=np.arange(count),
        control=np.array(["cubic", "bbr"])[rng.integers(0, 2, count)],
        n_bytes=10 ** rng.uniform(3, 6.7, count),
        seconds=np.ones(count),
        rate_bps=10 ** rng.uniform(5.5, 8, count),
        rtt_s=rtt_s,
        jitter_s=rtt_s * rng.choice([0.0, 0.05, 0.2], count),
        loss=rng.choice([0.0, 0.001, 0.01, 0.03], count),
        number=np.zeros(count),
    )
    return replace(made, seconds=predict(made, constants))


def test_rows_become_what_a_probe_would_see_and_bad_ones_stay_out(tmp_path: Path) -> None:
    rows = [
        _ROW,
        replace(_ROW, seconds=0.2, repetition=1),
        replace(_ROW, seconds=0.4, repetition=2),
        replace(_ROW, direction="down", seconds=1.0, stall_s=0.039),  # 20 ms and 2 % are allowed
        replace(_ROW, direction="down", seconds=1.0, stall_s=0.041),
        replace(_ROW, seconds=None, outcome="censored"),
        replace(_ROW, seconds=None, outcome="skipped"),
        replace(_ROW, link="lan", rate_bps=0.0),
    ]
    transfers, fates = load_transfers(_write(tmp_path / "rows.csv", rows))
    assert fates == {"used": 4, "void": 1, "censored": 1, "skipped": 1, "unlimited": 1}
    np.testing.assert_allclose(transfers.rtt_s, 0.04 + 0.00026)
    np.testing.assert_allclose(transfers.jitter_s, 0.0056569, rtol=1e-4)
    np.testing.assert_allclose(transfers.loss, 0.02)
    np.testing.assert_allclose(transfers.of_others(), [0.3, 0.25, 0.15, np.nan])
    assert sorted(transfers.typical().seconds) == [0.2, 1.0]
    assert list(transfers.typical(at_least=3).seconds) == [0.2]


def test_a_file_that_lacks_columns_or_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("link,direction\nlte,up\n")
    with pytest.raises(ConfigError, match=r"lacks the columns .*n_bytes"):
        load_transfers(tmp_path / "other.csv")
    with pytest.raises(ConfigError, match="cannot read"):
        load_transfers(tmp_path / "absent.csv")
    only_lan = _write(tmp_path / "lan.csv", [replace(_ROW, rate_bps=0.0)])
    with pytest.raises(ConfigError, match="no finished transfer"):
        load_transfers(only_lan)


def test_whole_links_are_kept_from_the_fit() -> None:
    # CRC-32 of "5g" is 0x303e24b2, of "lte" 0xc807c273.
    assert not for_validation("5g")
    assert for_validation("lte")
    transfers, _ = load_transfers(DATA)
    mask = transfers.to_validate
    assert not set(transfers.link[mask]) & set(transfers.link[~mask])
    assert 0.35 < mask.mean() < 0.65


def test_scores_by_hand() -> None:
    found = score(np.array([1.0, 2.0, 4.0]), np.array([1.1, 2.0, 2.0]))
    assert found.median == pytest.approx(0.1)
    assert found.p90 == pytest.approx(0.1 + 0.8 * 0.4)
    assert found.spread == pytest.approx(np.std([-np.log(1.1), 0.0, np.log(2.0)]))


def test_tails_by_hand() -> None:
    made = _made_up(FITTED)
    twice = replace(made, seconds=np.where(made.loss >= 0.02, 3.0, 1.0) * made.seconds)
    said = list(tails(twice, made.seconds))
    assert f"{np.mean(made.loss >= 0.02):.1%} take over twice" in said[0]
    assert said[2] == "sum of measured / sum of predicted, loss of 2 % and more: 3.00"
    slowest = made.seconds * np.linspace(1.0, 2.0, len(made))
    last, _ = furthest(made, slowest, 2)
    assert last.endswith(f"{made.seconds[-1]:.3f} s, predicted {slowest[-1]:.3f}")


def test_every_transfer_is_in_one_class_of_each_kind() -> None:
    transfers, _ = load_transfers(DATA)
    masks = dict(classes(transfers))
    np.testing.assert_array_equal(masks["named profiles"], ~masks["grid"])
    by_loss = [
        mask for name, mask in masks.items() if name.startswith("cubic, ") and "B" not in name
    ]
    by_size = [mask for name, mask in masks.items() if name.startswith("cubic, ") and "B" in name]
    for kind in (by_loss, by_size):
        assert len(kind) == 4
        np.testing.assert_array_equal(np.sum(kind, axis=0), masks["cubic"])


def test_the_fit_finds_the_constants_that_made_the_data() -> None:
    true = {
        "cubic": Constants(2.0, 1.5, 3.0, 0.9, 0.8),
        "bbr": Constants(0.0, 0.0, 4.0, 0.3, 0.5),
    }
    found = fit(_made_up(true))
    for control, constants in true.items():
        for name in Constants.__dataclass_fields__:
            value = getattr(found[control], name)
            assert value == pytest.approx(getattr(constants, name), rel=0.02), (control, name)


def test_the_shipped_constants_are_those_of_the_shipped_data() -> None:
    transfers, _ = load_transfers(DATA)
    refitted = fit(transfers.where(~transfers.to_validate))
    np.testing.assert_allclose(predict(transfers), predict(transfers, refitted), rtol=0.02)


def test_links_the_fit_never_saw_are_predicted_within_a_tenth() -> None:
    transfers, _ = load_transfers(DATA)
    unseen = transfers.where(transfers.to_validate)
    assert len(unseen) > 1000
    for control in FITTED:
        mine = unseen.where(unseen.control == control)
        predicted_s = transfer_s(
            mine.n_bytes, mine.rate_bps, mine.rtt_s, mine.loss, control, mine.jitter_s
        )
        assert np.median(np.abs(predicted_s / mine.seconds - 1)) < 0.10


def test_grid_links_stay_the_same_as_their_number_grows() -> None:
    few, many = grid_links(3, seed=0), grid_links(30, seed=0)
    assert many[:3] == few
    for link in many:
        assert link.uplink.rate_bps is not None
        assert link.downlink.rate_bps is not None
        assert 1 / 20 <= link.uplink.rate_bps / link.downlink.rate_bps <= 20
        assert min(abs(link.uplink.loss - loss) for loss in (0.0, 0.001, 0.01, 0.03)) < 1e-12


def test_a_campaign_goes_on_where_it_stopped(tmp_path: Path) -> None:
    config = CampaignConfig(profiles=("lte", "lan"), repetitions=2, up_to_mbps=100)
    blocks = blocks_of(config)  # lan is unlimited, so faster
    assert [block.key[0] for block in blocks] == ["lte"] * 4
    assert [block.repetition for block in blocks] == [0, 0, 1, 1]
    path = _write(tmp_path / "rows.csv", [replace(_ROW, repetition=1)])
    left = {block.key for block in missing(blocks, path)}
    assert left == {("lte", "cubic", "0"), ("lte", "bbr", "0"), ("lte", "bbr", "1")}
    (tmp_path / "other.csv").write_text("a,b\n")
    with pytest.raises(ConfigError, match="other columns"):
        missing(blocks, tmp_path / "other.csv")


def test_the_whole_run_prints_both_halves_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(Config(plot=tmp_path / "plot.png"))
    said = capsys.readouterr().out
    assert "validation half" in said
    assert "cubic: Constants(" in said
    assert "bbr: Constants(" in said
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("script", ["transfers.py", "fit_link_model.py"])
def test_help_comes_without_matplotlib_or_scipy(script: str) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{script!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(ROOT / 'benchmarks' / script)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "assert not {'matplotlib', 'scipy', 'torch'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--" in done.stdout
