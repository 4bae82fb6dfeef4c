"""What a sweep is asked for: options, plan, and what is refused."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import netem.link
from evaluate import EvaluateOptions, main
from evidence.sweeps import command
from evidence.sweeps.plan import plan_block
from evidence.sweeps.settings import Settings, SweepOptions, choose_settings
from evidence.sweeps.swept import SWEPT
from offload.errors import BackendError, ConfigError
from offload.link_profiles import PROFILES, get_profile


def chosen(sweep: str, **others: object) -> Settings:
    own = ("points", "kinds", "repeats", "quick")
    given = {name: others.pop(name) for name in own if name in others}
    run = EvaluateOptions(**others)
    return choose_settings(SweepOptions(sweep=sweep, **given), run)[0]


def test_points_are_given_in_the_unit_shown_and_kept_in_order():
    assert chosen("rtt", points="200,5,20").points == pytest.approx((0.005, 0.02, 0.2))
    assert chosen("bandwidth", points="1,0.5").points == (5e5, 1e6)
    assert chosen("loss", points="0,5").points == pytest.approx((0.0, 0.05))
    assert chosen("loss").controls == ("cubic", "bbr")
    assert chosen("rtt", congestion_control="bbr").controls == ("bbr",)


def test_a_quick_sweep_takes_fewer_points_kinds_and_repetitions():
    quick, usual = chosen("rtt", quick=True), chosen("rtt")
    assert quick.points == pytest.approx((0.02, 0.08, 0.32))
    assert set(quick.points) < set(usual.points)
    assert set(quick.tasks) < set(usual.tasks)
    assert (quick.repeats, usual.repeats) == (3, 6)


def test_a_kind_takes_its_own_size_unless_one_is_named():
    assert chosen("rtt", kinds="ocr,face/small").tasks == ("ocr/medium", "face/small")


def test_a_task_that_takes_too_long_is_left_out_and_named():
    options = SweepOptions(sweep="rtt", kinds="sudoku,denoise/large")
    settings, notes = choose_settings(options, EvaluateOptions(max_local=2.0))
    assert settings.tasks == ("sudoku/large",)
    assert len(notes) == 1
    assert notes[0].startswith("denoise/large is left out: it takes the device 5.7 s")


@pytest.mark.parametrize(
    ("sweeping", "others", "message"),
    [
        (SweepOptions(points="1,2"), {}, "need --sweep"),
        (SweepOptions(sweep="rtt"), {"mode": "sim"}, "leave out --mode sim"),
        (SweepOptions(sweep="rtt"), {"trace": Path("x.csv")}, "--trace means nothing to --sweep"),
        (SweepOptions(sweep="rtt"), {"tasks": 9}, "--tasks means nothing to --sweep"),
        (SweepOptions(sweep="loss"), {"congestion_control": "bbr"}, "swept under both"),
        (SweepOptions(sweep="rtt"), {"seed": -1}, "--seed is -1"),
        (SweepOptions(sweep="rtt", points="a"), {}, "give numbers in ms"),
        (SweepOptions(sweep="rtt", points="40"), {}, "needs two or more"),
        (SweepOptions(sweep="rtt", points="0,40"), {}, "from 1 to 10000 ms"),
        (SweepOptions(sweep="loss", points="0,nan"), {}, "from 0 to 30 %"),
        (SweepOptions(sweep="edge-load", points="0,100"), {}, "from 0 to 95 %"),
        (SweepOptions(sweep="bandwidth", points="1,150"), {}, "at most 200 are emulated"),
        (SweepOptions(sweep="bandwidth"), {"profile": "lan"}, "has no rate to be swept"),
        (SweepOptions(sweep="jitter"), {"profile": "lan"}, "jitter needs a delay"),
        (SweepOptions(sweep="rtt", repeats=0), {}, "--repeats is 0"),
        (SweepOptions(sweep="rtt", kinds="ocrr"), {}, "Did you mean 'ocr'"),
        (SweepOptions(sweep="rtt", kinds="ocr"), {"max_local": 0.1}, "no task is left"),
        (SweepOptions(sweep="rtt", resume=Path("/tmp")), {"backend": "proxy"}, "holds no sweep"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_anything_is_opened(
    sweeping, others, message, tmp_path
):
    with pytest.raises(ConfigError, match=message):
        main(EvaluateOptions(sweeping=sweeping, out=tmp_path, **others))
    assert not list(tmp_path.iterdir())


def test_without_a_link_a_sweep_ends_and_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(netem.link, "BACKENDS", ())
    with pytest.raises(BackendError, match="no network backend can run here"):
        main(EvaluateOptions(sweeping=SweepOptions(sweep="rtt"), out=tmp_path))
    assert not list(tmp_path.iterdir())


def test_interrupted_it_says_how_to_go_on_and_only_with_the_same_options(
    tmp_path, monkeypatch, capsys
):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "choose_backend", lambda *_, **__: None)
    monkeypatch.setattr(command, "measure_sweep", interrupted)
    sweeping = SweepOptions(sweep="rtt", repeats=4)
    with pytest.raises(KeyboardInterrupt):
        main(EvaluateOptions(sweeping=sweeping, out=tmp_path))
    (folder,) = tmp_path.iterdir()
    assert "go on with: python" in capsys.readouterr().err
    resumed = dataclasses.replace(sweeping, resume=folder)
    with pytest.raises(KeyboardInterrupt):
        main(EvaluateOptions(sweeping=resumed, out=tmp_path))
    assert f"--resume {folder}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [folder]
    other = dataclasses.replace(resumed, repeats=5)
    with pytest.raises(ConfigError, match="repeats is 5 now and was 4"):
        main(EvaluateOptions(sweeping=other, out=tmp_path))


def test_every_repetition_visits_all_points_with_the_same_instances_in_a_new_order():
    settings = chosen("bandwidth", kinds="sudoku,face,ocr", repeats=5)
    blocks = [plan_block(settings, number) for number in range(5)]
    for block in blocks:
        steps = [step for visit in block.visits for step in visit]
        edge = Counter((step.point, step.task) for step in steps if step.on_edge)
        device = Counter(step.task for step in steps if not step.on_edge)
        assert edge == {(point, task): 1 for point in range(8) for task in range(3)}
        assert device == {0: 1, 1: 1, 2: 1}
        assert all(len({step.point for step in visit}) == 1 for visit in block.visits)
    assert len({tuple(visit[0].point for visit in block.visits) for block in blocks}) == 5
    assert len({block.seeds for block in blocks}) == 5
    assert plan_block(settings, 3) == blocks[3]


def test_where_the_device_is_swept_the_edge_runs_once_a_repetition():
    block = plan_block(chosen("device-speed", kinds="sudoku"), 0)
    sides = Counter(step.on_edge for visit in block.visits for step in visit)
    assert sides == {False: 7, True: 1}


def test_a_point_changes_its_quantity_and_nothing_else():
    lte = get_profile("lte")
    slow = SWEPT["bandwidth"].apply(lte, 7e6)
    assert (slow.uplink.rate_bps, slow.downlink.rate_bps) == (7e6, 19.5e6)  # 14 to 39, as before
    far = SWEPT["rtt"].apply(lte, 0.2)
    assert (far.uplink.delay_s, far.downlink.delay_s) == (0.1, 0.1)
    lossy = SWEPT["loss"].apply(lte, 0.05)
    assert lossy.uplink.loss == pytest.approx(0.05)
    assert lossy.uplink.loss_leave == lte.uplink.loss_leave
    for changed, fields in ((slow, {"rate_bps"}), (far, {"delay_s"}), (lossy, {"loss_enter"})):
        differ = {
            field.name
            for field in dataclasses.fields(lte.uplink)
            if getattr(changed.uplink, field.name) != getattr(lte.uplink, field.name)
        }
        assert differ == fields
    assert SWEPT["rtt"].apply(lte, 0.01).uplink.jitter_s == 0.0025  # half of the delay at most


@pytest.mark.parametrize("name", SWEPT)
def test_the_points_that_ship_are_within_their_bounds(name):
    swept = SWEPT[name]
    for points in (swept.points, swept.quick):
        assert list(points) == sorted(set(points))
        assert swept.low <= points[0]
        assert points[-1] <= swept.high
    assert swept.base in PROFILES
    values = np.array(swept.points)
    assert [swept.value(p) for p in swept.position(values)] == pytest.approx(list(values))
