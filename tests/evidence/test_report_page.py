"""The report of a simulated run, as ``evaluate.py`` writes it."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from read_page import read_html, said, table

from evidence.report.drawn import write_panel
from evidence.report.page import html
from evidence.report.section import read_section
from evidence.report.table import parquet_available, write_parquet

ROOT = Path(__file__).resolve().parents[2]
POLICIES = "always-local,always-edge,maui-measured,ppo"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    words = ["--mode", "sim", "--profile", "wifi", "--decisions", "640", "--hindsight", "2"]
    places = ["--runs", str(out / "none"), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "evaluate.py", *words, *places, "--policies", POLICIES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (path.parent for path in out.glob("*/result.json"))
    assert f"report: {folder / 'report.html'}; " in done.stdout
    return folder


@pytest.fixture(scope="module")
def page(run):
    return read_html((run / "report.html").read_text())


@pytest.fixture(scope="module")
def result(run):
    return json.loads((run / "result.json").read_text())


def test_the_page_loads_nothing(run, page):
    for element in page.iter():
        assert element.tag not in {"script", "link", "iframe", "object", "base"}
        for name, value in element.attrib.items():
            if name in {"src", "href"}:
                assert value.startswith(("#", "data:")), value
    text = (run / "report.html").read_text()
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert "@import" not in text
    assert len(text) < 3_000_000


def test_ids_are_unique_and_every_reference_has_its_target(page):
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    wanted = {element.get("href")[1:] for element in page.iter() if element.get("href")}
    wanted |= {element.get("aria-labelledby") for element in page.iter()} - {None}
    for element in page.iter():
        for value in element.attrib.values():
            wanted |= set(re.findall(r"url\(#([^)]+)\)", value))
    assert wanted
    assert wanted <= set(ids)


def test_every_figure_says_what_it_shows(page):
    drawings = [element for element in page.iter("svg")]
    assert len(drawings) > 10
    for drawing in drawings:
        assert drawing.get("role") == "img"
        assert len(said(drawing.find("title"))) > 20
    for figure in page.iter("figure"):
        assert said(figure.find("figcaption"))
    for heading in page.iter("th"):
        assert heading.get("scope") in {"row", "col"}


def test_the_colours_of_figures_are_the_pages(run, page):
    """So that they are legible on dark ground too: none of a drawing's colours is fixed."""
    used = set()
    for drawing in page.iter("svg"):
        for element in drawing.iter():
            used |= set(re.findall(r"#[0-9a-f]{6}\b", " ".join(element.attrib.values())))
    assert used <= {"#000000"}  # matplotlib's own, of hidden patterns and clips
    assert re.search(r"#0072b2", (run / "report/figures/map-1-chess.svg").read_text())


def test_the_table_has_the_figures_of_the_result(page, result):
    rows = {row[0].removesuffix(" *"): row for row in table(page, "wifi: 640 decisions")[1:]}
    assert set(rows) == {*POLICIES.split(","), "maui-true"} == set(result["policies"])
    for name, score in result["policies"].items():
        value, low, high = (100 * x for x in score["accuracy"])
        assert rows[name][1] == f"{value:.1f} [{low:.1f}, {high:.1f}]"
        value, low, high = score["cost"]
        assert rows[name][3] == f"{value:.3f} [{low:.3f}, {high:.3f}]"
        assert rows[name][5] == f"{score['latency_p50_s']:.3f}"
        assert rows[name][7] == f"{score['energy_j']:.2f}"
        assert rows[name][9] == f"{100 * score['deadline_misses']:.1f}"


def test_figures_in_front_are_those_of_the_cheapest_policy_that_is_blind(page, result):
    blind = {n: s for n, s in result["policies"].items() if n != "maui-true"}
    best = min(blind, key=lambda name: blind[name]["cost"][0])
    (facts,) = (each for each in page.iter("dl") if each.get("class") == "facts")
    labels, values = ([said(each) for each in facts.iter(tag)] for tag in ("dt", "dd"))
    assert labels[0] == f"cost of {best}, the least"
    assert values[0].split()[0] == f"{blind[best]['cost'][0]:.3f}"
    assert values[1].split()[0] == f"{100 * blind[best]['accuracy'][0]:.1f}"
    assert values[2].split()[0] == f"{blind[best]['latency_p95_s']:.2f}"
    assert values[3].split()[-2] == f"{blind['always-local']['energy_j']:.2f}"


def test_files_for_a_paper_have_all_digits(run, result):
    with (run / "report/tables/policies.csv").open(newline="") as file:
        rows = {row["policy"]: row for row in csv.DictReader(file)}
    for name, score in result["policies"].items():
        assert float(rows[name]["cost_high"]) == score["cost"][2]
        assert float(rows[name]["energy_j"]) == score["energy_j"]
    pyarrow = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    stored = pyarrow.read_table(run / "report/tables/policies.parquet").to_pydict()
    assert stored["cost"] == [score["cost"][0] for score in result["policies"].values()]
    assert pyarrow.read_table(run / "report/decisions.parquet").num_rows == 640
    figures = {path.name for path in (run / "report/figures").iterdir()}
    assert {"accuracy.svg", "accuracy.pdf", "latency-learned.pdf", "timeline.svg"} <= figures
    assert (run / "report/figures/accuracy.pdf").read_bytes().startswith(b"%PDF-")


def test_what_is_missing_is_said(page):
    assert "predicted against measured: nothing is measured in simulation" in said(page)
    assert "decision maps:" not in said(page)


def test_a_report_that_is_built_again_is_the_same_to_the_byte(run, tmp_path):
    section = read_section(run)
    assert html([section], [""]) == (run / "report.html").read_text()
    plates = {part.slug: part.plates[0] for part in section.parts if part.plates}
    for panel in (plates["policies"].panels[0], plates["maps"].panels[0]):
        write_panel(panel, tmp_path)
        for suffix in ("svg", "pdf"):
            name = f"{panel.name}.{suffix}"
            assert (tmp_path / name).read_bytes() == (run / "report/figures" / name).read_bytes()
    for each in section.parts[0].tables if parquet_available() else ():
        write_parquet(each, tmp_path / "table.parquet")
        written = run / "report/tables" / f"{each.name}.parquet"
        assert (tmp_path / "table.parquet").read_bytes() == written.read_bytes()
