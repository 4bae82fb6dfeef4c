"""The suite's key figures, on pairs made up for it, and its folder's life."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agents.fixed import FixedPolicy
from agents.maui_policy import MauiPolicy
from agents.paired import score_pairs
from envs.config import EnvConfig
from evidence.suite import run as suite_run
from evidence.suite.competition import Competition
from evidence.suite.kpis import kpis_of, ratio_of_means, resampled
from evidence.suite.plan import LINKS, QUICK, cells
from evidence.suite.run import Settings, run_suite, saved_settings
from offload.errors import ConfigError, UnknownNameError
from offload.link_profiles import PROFILES
from offload.types import (
    EdgeState,
    LinkState,
    Objective,
    PairedRun,
    Placement,
    PlacementCost,
    TaskInstance,
    TaskProfile,
)


def pair(local_s: float, edge_s: float | None, rtt_s: float) -> PairedRun:
    def cost(upload_s: float, seconds: float) -> PlacementCost:
        return PlacementCost(upload_s, 0.0, seconds - upload_s, 0.0, 0.0, 0.0)

    return PairedRun(
        task=TaskInstance("face", "small", 1),
        link=LinkState(rtt_s, 0.0, 0.0, 10e6, 20e6, 1.0),
        edge_seen=EdgeState(0.0, 1.0),
        predicted=TaskProfile(local_s, 0.1, 1000.0, 10.0, 5.0),
        budget_s=4.0,
        local=cost(0.0, local_s),
        edge=None if edge_s is None else cost(0.01, edge_s),
        correct=True,
    )


PAIRS = [pair(1.0, 0.5, 0.016), pair(2.0, 0.4, 0.017), pair(0.2, 0.3, 0.017), pair(3.0, None, 0.03)]


def figures(competition: Competition | None = None) -> dict[tuple[str, str], object]:
    policies = [
        FixedPolicy(Placement.LOCAL),
        FixedPolicy(Placement.EDGE),
        MauiPolicy(Objective.LATENCY, sees_truth=True),
    ]
    rng = np.random.default_rng(0)
    config = EnvConfig(objective=Objective.LATENCY)
    evaluation = score_pairs(policies, PAIRS, radio="wifi", config=config, rng=rng, seed=0)
    (cell,) = cells(("5g",))
    rows = kpis_of(cell, PAIRS, evaluation, competition, rng)
    return {(row.kpi, row.policy): row for row in rows}


def test_key_figures_of_made_up_pairs():
    found = figures()
    value = {name: row.value for name, row in found.items()}
    assert value["rtt_set", ""] == pytest.approx(0.016)
    assert value["uplink_set", ""] == 20e6
    assert value["rtt_probed", ""] == pytest.approx(0.017)  # of 16, 17 and 30 ms
    assert found["rtt_probed", ""].n == 3
    assert value["latency_local", ""] == pytest.approx(1.5)
    # Given up after 4 s, then 3 s on the device: 7 s. The median of 0.3, 0.4, 0.5, 7 is 0.45.
    assert value["latency_offloaded", ""] == pytest.approx(0.45)
    assert value["faster_offloaded", ""] == 0.5
    assert value["given_up", ""] == 0.25
    assert value["energy_local", ""] == pytest.approx(5.0 * 6.2 / 4)
    assert value["accuracy", "always-local"] == 0.5
    assert value["accuracy", "maui-true"] == 1.0
    assert found["energy_local", ""].kind == "modelled"
    assert found["latency_local", ""].n == 4
    assert found["latency_local", ""].low < 1.5 < found["latency_local", ""].high
    assert ("flow_alone", "") not in value


def test_key_figures_of_a_competing_flow():
    found = figures(
        Competition(
            flow_alone_bps=[10e6, 12e6],
            flow_shared_bps=[5e6, 6e6],
            offload_alone_s=[0.1, 0.2, 0.3],
            offload_shared_s=[1.0, 3.0],
        )
    )
    assert found["flow_alone", ""].value == 11e6
    assert found["flow_with_offloading", ""].value == 5.5e6
    assert found["flow_left", ""].value == 0.5
    assert (found["flow_left", ""].low, found["flow_left", ""].high) == (0.5, 0.5)  # round by round
    assert found["offload_alone", ""].value == 0.2
    assert found["offload_with_flow", ""].value == 2.0
    assert found["offload_with_flow", ""].n == 2


def test_an_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        found = resampled(np.mean, [rng.normal(5.0, 2.0, 40)], rng)
        held += found.low <= 5.0 <= found.high
    # 95 % less what a percentile interval of 40 values lacks: 186 of 200, standard deviation 3.6.
    assert 170 <= held <= 200
    ratio = resampled(ratio_of_means, [[2.0, 4.0], [4.0, 8.0]], rng)
    assert ratio.as_list() == [0.5, 0.5, 0.5]


def test_every_profile_and_every_stress_is_a_cell_and_only_shaped_ones_have_a_flow():
    made = cells(LINKS)
    assert [cell.name for cell in made] == [*PROFILES, "handover", "outage", "ramp"]
    assert [cell.name for cell in made if not cell.competes] == [
        "lan", "handover", "outage", "ramp"
    ]  # fmt: skip
    with pytest.raises(UnknownNameError, match="Did you mean 'congested'"):
        cells(("congestd",))


def settings(links: tuple[str, ...]) -> Settings:
    return Settings(links, QUICK, "always-local,always-edge", "mixed", "auto", "cubic", 0, "none")


def test_an_interrupted_suite_goes_on_with_the_links_that_are_missing(
    tmp_path, monkeypatch, capsys
):
    measured: list[str] = []
    rows = figures(Competition([1e6], [5e5], [0.1], [0.2])).values()

    def measure(cell, under, decisions, say):
        if cell.name == "lte" and measured.count("lte") == 0:
            measured.append("lte")
            raise KeyboardInterrupt
        measured.append(cell.name)
        void = "busy" if cell.name == "3g" and measured.count("3g") == 1 else ""
        kpis = [] if void else [row.as_dict() | {"link": cell.name} for row in rows]
        details = {} if void else {"backend": "uml"}
        return {
            "link": cell.name, "void": void, "kpis": kpis, "notes": [], "details": details,
            "took_s": 1.0,
        }  # fmt: skip

    monkeypatch.setattr(suite_run, "measure_cell", measure)
    with pytest.raises(KeyboardInterrupt):
        run_suite(settings(("5g", "3g", "lte")), tmp_path, None)
    (folder,) = tmp_path.iterdir()
    assert f"--resume {folder}" in capsys.readouterr().err
    assert saved_settings(folder) == settings(("5g", "3g", "lte"))
    assert run_suite(saved_settings(folder), tmp_path, folder) == 0
    assert measured == ["5g", "3g", "lte", "3g", "lte"]  # what is void is measured again
    data = json.loads((folder / "kpis.json").read_text())
    assert [link["link"] for link in data["links"]] == ["5g", "3g", "lte"]
    assert (folder / "kpis.csv").read_text().count("latency_local") == 3
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "links.svg", "links.txt", "accuracy.svg", "accuracy.txt"
    }  # fmt: skip


def test_what_is_no_suite_is_not_resumed(tmp_path):
    (tmp_path / "settings.json").write_text('{"sweep": "rtt"}')
    with pytest.raises(ConfigError, match="none of a benchmark suite"):
        saved_settings(tmp_path)
