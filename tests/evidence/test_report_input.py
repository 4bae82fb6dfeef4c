"""What a report makes of folders that are live, nasty, damaged or no runs at all."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_evaluations import NASTY, made_evaluation, made_score
from read_page import read_html, said, table

from evidence.report import table as tables
from evidence.report.__main__ import ReportOptions, main
from evidence.report.decisions import read_decisions
from evidence.report.figures.bars import cut_at
from evidence.report.figures.latency import steps
from evidence.report.map_data import read_maps
from evidence.report.page import html, write_report
from evidence.report.run_data import read_result
from evidence.report.section import read_section
from evidence.report.table import Cell, Table, latex
from offload.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """A report of a folder whose every name is as bad as it may be."""
    folder = made_evaluation(
        tmp_path_factory.mktemp("nasty") / "run",
        profile=NASTY,
        policies={
            "always-local": made_score(1.0),
            NASTY: made_score(),
            "maui-true": made_score(0.8),
        },
        links={NASTY: {n: made_score() for n in ("always-local", NASTY, "maui-true")}},
    )
    (folder / "sentences.txt").write_text(f"{NASTY.rstrip()}\n")
    (folder / "figures").mkdir()
    (folder / "figures" / "x.svg").write_text("<svg><script>alert(2)</script></svg>")
    (folder / "figures" / "x.txt").write_text('caption "<b>"')
    (folder / "agreement.csv").write_text(
        "task,component,link,hard,predicted_s,measured_s,given_up\n"
        "<b>/small,../../upload,set,own,0.3,0.2,0\n<b>/small,../../upload,set,own,0.2,0.2,0\n"
        "<b>/small,../../upload,set,own,0.1,0.2,0\n<b>/small,../../upload,set,own,9,0.2,1\n"
    )
    return read_section(folder)


@pytest.mark.filterwarnings("ignore:Glyph 1 ")
def test_names_from_a_folder_are_never_markup(nasty):
    page = read_html(html([nasty], [""]))  # XML: a name that is markup would not be text
    assert not list(page.iter("script"))
    assert not list(page.iter("b"))
    shown = NASTY.replace("\x01", "\N{REPLACEMENT CHARACTER}")
    assert said(next(page.iter("h1"))) == shown
    assert shown in said(page.find(".//table"))
    (picture,) = page.iter("img")
    assert picture.get("src").startswith("data:image/svg+xml;base64,")
    assert picture.get("alt") == 'caption "<b>"'


def test_names_from_a_folder_are_no_paths(nasty):
    names = [panel.name for part in nasty.parts for plate in part.plates for panel in plate.panels]
    assert "predicted-1-------upload" in names
    assert len(set(names)) == len(names)
    assert not any(letter in name for name in names for letter in "/\\.")


def test_names_from_a_folder_are_no_latex(nasty):
    text = latex(nasty.parts[0].tables[0])
    assert r"\$x\_1\$" in text
    assert r"\& \{q\}\%" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 4
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {9}
    depth = np.cumsum([{"{": 1, "}": -1}.get(c, 0) for c in re.sub(r"\\[{}]", "", text)])
    assert depth.min() >= 0
    assert depth[-1] == 0


def test_errors_of_predictions_are_worked_out_as_named(nasty):
    page = read_html(html([nasty], [""]))
    (row,) = table(page, "Error of the predicted seconds")[1:]
    # 50 %, 0 % and 50 % off: the middle one is 50, so are nine in ten; the middle ratio is 1.
    assert row == ["../../upload", "set/own", "3", "50", "50", "1.00"]


@pytest.fixture
def live(tmp_path):
    return made_evaluation(tmp_path / "run")


def test_without_a_table_of_pairs_the_components_come_from_the_decisions(live):
    section = read_section(live)
    (found,) = (part.tables[0] for part in section.parts if part.slug == "predictions")
    rows = {row[0].text: [cell.text for cell in row[2:]] for row in found.rows}
    # 1,000 bytes go at once: 50 ms of way and 1 ms (or half) at 8 (16) Mbit/s, with 10 % overhead.
    assert rows["compute"] == ["5", "100", "100", "2.00"]
    assert rows["local"] == ["6", "0", "22", "1.00"]
    assert rows["queue"] == ["5", "100", "100", "0.00"]
    assert set(rows) == {"upload", "queue", "compute", "download", "local"}


def test_a_folder_without_maps_says_so_and_how_to_get_them(live):
    (line,) = (text for text in read_section(live).missing if text.startswith("decision maps"))
    assert "decision-maps.json" in line
    assert "evaluate.py" in line


@pytest.fixture
def sweep(tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "sentences.txt").write_text("offload while it is fast\n")
    (folder / "crossovers.csv").write_text("task,crossover\nocr,inf\nface,0.5\n")
    return folder


def test_without_pyarrow_it_says_so(sweep, monkeypatch):
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    written = write_report([sweep], sweep)
    assert "no Parquet: pyarrow is missing (pip install -r requirements-report.txt)" in str(written)
    assert {path.name for path in (sweep / "report/tables").iterdir()} == {
        "crossovers.csv",
        "crossovers.tex",
    }


def test_several_runs_make_one_page(live, sweep, tmp_path):
    run = read_section(live)
    sections = [run, run, read_section(sweep)]
    page = read_html(html(sections, ["run1-", "run2-", "run3-"]))
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert [said(heading) for heading in page.iter("h2")] == ["lte", "lte", "sweep"]
    assert table(page, "Crossovers")[1:] == [["ocr", "above the range"], ["face", "0.5"]]
    assert "offload while it is fast" in said(page)
    assert "settings and environment: the folder has no summary.json or kpis.json" in said(page)
    write_report([sweep, sweep], tmp_path / "both")
    assert (tmp_path / "both/report/run2/tables/crossovers.tex").exists()


def _damaged(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("result.json", '"schema": 1', '"schema": 9', "is of schema 9; this version reads 1"),
        ("result.json", '"seed": 3', '"seed": "x"', r"Expected `int`, got `str` - at `\$.seed`"),
        ("result.json", "{", "[", "cannot be read"),
        ("decisions.csv", "ppo:seconds", "ppo:second", "lacks the column 'ppo:seconds'"),
        ("decisions.csv", "0.21,0,0,0.1", "0.21,0,0,x", "line 2: could not convert"),
        ("decisions.csv", "ocr/medium,", "ocr/medium,1,", "line 2: 30 cells under 29 names"),
        ("decisions.csv", "rtt_s", "rtt", "lacks the column 'rtt_s'"),
    ],
)
def test_a_damaged_folder_is_refused(live, name, old, new, message):
    _damaged(live, name, old, new)
    with pytest.raises(ConfigError, match=message):
        read_section(live)


def test_a_damaged_map_is_refused(tmp_path):
    stored = {
        "format": 1,
        "kinds": ["ocr"],
        "rtt_s": [0.01, 0.1],
        "rate_bps": [1e6, 1e7],
        "optimum": ["0110"],
        "policies": {"ppo": ["0100"]},
    }
    path = tmp_path / "decision-maps.json"
    path.write_text(json.dumps(stored))
    assert read_maps(path).optimum.tolist() == [[[0, 1], [1, 0]]]
    for changed, message in (
        ({"optimum": ["012"]}, "1 texts of 4 digits"),
        ({"rtt_s": [0.1, 0.01]}, "must be positive and rise"),
        ({"rtt_s": [0.1]}, "2 to 400 points"),
        ({"format": 2}, "of format 2"),
    ):
        path.write_text(json.dumps(stored | changed))
        with pytest.raises(ConfigError, match=message):
            read_maps(path)


def test_of_a_simulation_the_first_scenario_of_two_links_is_shown(tmp_path):
    folder = made_evaluation(tmp_path / "run", policies={"ppo": made_score()}, mode="sim")
    lines = ["scenario,link,ppo:seconds"]
    lines += [f"{n // 2},{'abac'[n // 2]},{8 - n}" for n in range(8)]
    (folder / "decisions.csv").write_text("\n".join(lines) + "\n")
    found = read_decisions(folder, read_result(folder))
    assert found.seconds["ppo"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    shown = {rows.label: rows.numbers("ppo:seconds").tolist() for rows in found.shown}
    assert shown == {"a": [8.0, 7.0], "b": [6.0, 5.0]}


def test_bars_are_cut_where_few_are_far_longer():
    assert cut_at([1.0, 1.0, 1.0, 5.0], most=1.5) == pytest.approx(1.04)
    assert cut_at([1.0, 1.2, 1.4], most=1.5) == pytest.approx(1.4 * 1.04)
    assert cut_at([0.0, 0.0, 0.0, 2.0], most=4.0) == pytest.approx(2.08)


def test_a_distribution_steps_at_each_value():
    seconds, share = steps(np.array([1.0, 3.0]))
    assert seconds.tolist() == [1.0, 1.0, 3.0, 3.0]
    assert share.tolist() == [0.0, 0.5, 0.5, 1.0]


def test_latex_of_a_table_word_by_word():
    made = Table("t", "A & B", ("x", "y"), ((Cell("a_b"), Cell("1.0", "[0.5, 2.0]")),), {}, "50 %")
    assert latex(made).splitlines()[2:] == [
        r"  \caption{A \& B 50 \%}",
        r"  \label{tab:t}",
        r"  \begin{tabular}{lr}",
        r"    \toprule",
        r"    x & y \\",
        r"    \midrule",
        r"    a\_b & 1.0 {\scriptsize [0.5, 2.0]} \\",
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]


def test_the_command_refuses_what_is_no_run(tmp_path):
    void = tmp_path / "void"
    void.mkdir()
    (void / "void.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "evidence.report", void],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = f"{void} holds a void run: it has no scores to report. Run it again"
    assert (done.returncode, done.stderr) == (2, f"evidence.report: {said}\n")
    with pytest.raises(ConfigError, match="name the folder for it with --out"):
        main(ReportOptions((tmp_path, tmp_path)))
    with pytest.raises(ConfigError, match="no folder is named"):
        main(ReportOptions(()))
    with pytest.raises(ConfigError, match=r"holds nothing to report: neither result\.json"):
        read_section(tmp_path / "empty")
    with pytest.raises(ConfigError, match="is no folder"):
        read_section(tmp_path / "absent")


def test_a_drive_and_a_suite_have_their_tables(tmp_path):
    drive, suite = tmp_path / "drive", tmp_path / "suite"
    drive.mkdir()
    suite.mkdir()
    scores = {"cost": [2.0596, 1.5508, 2.6244], "latency_p95_s": 2.6291, "energy_j": 12345.0}
    summary = {"policies": {"ppo": scores}, "backend": "tun", "origin": {"command": "drive"}}
    (drive / "summary.json").write_text(json.dumps(summary))
    (suite / "kpis.csv").write_text(
        "link,kpi,policy,value,low,high,n,unit,kind\n"
        "5g,rtt_probed,,0.0158,0.015,0.0162,8,s,measured\n"
        "5g,uplink_set,,2e+07,,,1,bit/s,set\n"
        "lte,rtt_probed,,0.04,0.04,0.05,8,s,measured\n"
    )
    page = read_html(html([read_section(drive), read_section(suite)], ["run1-", "run2-"]))
    assert table(page, "Scores") == [
        ["policy", "cost", "latency p95 s", "energy J"],
        ["ppo", "2.06 [1.55, 2.62]", "2.63", "12.3 k"],
    ]
    assert table(page, "Key figures") == [
        ["figure", "policy", "unit", "", "5g", "lte"],
        ["rtt probed", "", "s", "measured", "0.0158 [0.015, 0.0162]", "0.04 [0.04, 0.05]"],
        ["uplink set", "", "bit/s", "set", "20 M", "–"],
    ]
