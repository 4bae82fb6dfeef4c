"""What an operator copies out of deploy/: each file checked by the program it is for."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_server.config import ServerConfig
from edge_server.watching.client import ClientMetrics
from edge_server.watching.server_page import ServerPages
from edge_server.watching.state import ServerState
from edge_server.watching.tally import ServerTally

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "offload-edge.service"
DOCKERFILE = DEPLOY / "container" / "Dockerfile"
WORST_EXPOSURE = 1.5
"""Of 10, as systemd-analyze counts it; the unit has 1.4."""


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def served_names() -> set[str]:
    """Every sample's name on the pages of a server and of a client that have seen something."""
    tally = ServerTally()
    tally.answered("ocr", None, compute_s=0.1, total_s=0.2, budget_s=1.0)
    state = ServerState(0, 0, 1, 1, False, 1, 0, 0, {"accepted": 1})
    pages = (
        ServerPages(tally, lambda: state).metrics("").body,
        ClientMetrics(late_answers=lambda: 0).page().body,
    )
    kinds = re.findall(r"^# TYPE (\w+) (\w+)", b"".join(pages).decode(), re.M)
    histograms = {"_bucket", "_sum", "_count"}
    return {
        name + end for name, kind in kinds for end in (histograms if kind == "histogram" else {""})
    }


def board() -> dict[str, Any]:
    return json.loads((DEPLOY / "grafana" / "edge-server.json").read_text())


def queries() -> Iterator[str]:
    for panel in board()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def alerts() -> Iterator[str]:
    file = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    for group in file["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def test_every_query_names_metrics_that_are_served() -> None:
    served = served_names()
    asked = [*queries(), *alerts()]
    asked += [each["definition"] for each in board()["templating"]["list"] if "definition" in each]
    assert len(asked) > 30
    for query in asked:
        names = set(
            re.findall(r"\b(?:edge_server|offload|process)_\w+", re.sub(r'"[^"]*"', "", query))
        )
        assert names or query == 'up{job="edge_server"} == 0', query
        assert names <= served, f"{names - served} of {query}"


def test_every_metric_of_a_server_is_on_the_dashboard() -> None:
    text = " ".join(queries())
    ends = re.compile(r"_(?:bucket|sum|count)$")
    ours = {ends.sub("", name) for name in served_names() if name.startswith("edge_server_")}
    assert {name for name in ours if name not in text} == set()


def test_the_dashboards_panels_lie_side_by_side_with_ids_of_their_own() -> None:
    panels = board()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_every_query_is_valid_promql(tmp_path: Path) -> None:
    promtool = program("promtool")
    rules = [
        {"record": f"query:{number}", "expr": re.sub(r"\$__rate_interval", "1m", query)}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    checked = run(promtool, "check", "rules", str(file))
    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_prometheus_takes_its_settings_and_alerts() -> None:
    promtool = program("promtool")
    checked = run(promtool, "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml"))
    assert checked.returncode == 0, checked.stderr


def test_the_page_is_well_formed_for_promtool() -> None:
    promtool = program("promtool")
    state = ServerState(0, 0, 1, 1, False, 1, 0, 0, {"accepted": 1})
    page = ServerPages(ServerTally(), lambda: state).metrics("").body
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stderr.decode()


def test_the_units_exposure_is_low() -> None:
    analyze = program("systemd-analyze")
    # The threshold is in tenths; the command fails above it.
    threshold = str(round(WORST_EXPOSURE * 10))
    checked = run(analyze, "security", "--offline=true", f"--threshold={threshold}", str(UNIT))
    assert checked.returncode == 0, checked.stdout[-300:] + checked.stderr
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", checked.stdout)
    assert exposure is not None
    assert float(exposure[1]) <= WORST_EXPOSURE


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    unit = tmp_path / UNIT.name
    text = UNIT.read_text().replace("/opt/offload/.venv/bin/python", "/bin/true")
    unit.write_text(text.replace("file:/opt/offload/docs/operations.md", "man:true(1)"))
    checked = run(analyze, "verify", "--man=no", str(unit))
    ours = [line for line in checked.stderr.splitlines() if UNIT.name in line]
    assert ours == []
    assert checked.returncode == 0, checked.stderr


def words_of_unit() -> list[str]:
    line = re.search(r"^ExecStart=(.*?[^\\])$", UNIT.read_text(), re.M | re.S)
    assert line is not None
    return shlex.split(line[1].replace("\\\n", " "))


def words_of_image() -> list[str]:
    text = DOCKERFILE.read_text()
    return [
        word
        for name in ("ENTRYPOINT", "CMD")
        for word in json.loads(re.findall(rf"^{name} (\[.*\])$", text, re.M)[-1])
    ]


@pytest.mark.parametrize("words", [words_of_unit(), words_of_image()], ids=["unit", "image"])
def test_the_server_takes_the_options(words: list[str]) -> None:
    import tyro

    options = words[words.index("edge_server") + 1 :]
    config = tyro.cli(ServerConfig, args=options)
    assert config.is_exposed
    assert config.keys is not None
    assert config.metrics_port == 9464


def test_the_dockerfile_is_free_of_hadolints_complaints() -> None:
    checked = run(program("hadolint"), str(DOCKERFILE))
    assert checked.returncode == 0, checked.stdout


def test_the_compose_file_names_what_exists_and_guards_each_service() -> None:
    folder = DEPLOY / "container"
    compose = yaml.safe_load((folder / "compose.yaml").read_text())
    build = compose["services"]["edge"]["build"]
    assert (folder / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            exists = (folder / source).exists() if "/" in source else source in compose["volumes"]
            assert exists, volume
        # Only tasks come in from other machines; pages are for this one.
        for port in service.get("ports", ()):
            assert port == "5555:5555" or port.startswith("127.0.0.1:"), port


def test_a_servers_requirements_are_those_of_the_project() -> None:
    def lines(name: str) -> set[str]:
        found = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
        return {line for line in found if line and not line.startswith("-r")}

    assert lines("requirements-server.txt") <= lines("requirements.txt")
    assert not any(
        line.startswith(("torch", "gymnasium")) for line in lines("requirements-server.txt")
    )
