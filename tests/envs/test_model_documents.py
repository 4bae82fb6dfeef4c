"""Tables of docs/environment.md, docs/models.md and the env's docstring say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from envs.config import EnvConfig
from envs.task_offloading import TaskOffloadingEnv
from offload.energy_model import RADIOS
from offload.features import FEATURES, N_FEATURES, Feature
from offload.link_profiles import PROFILES

DOCS = Path(__file__).parents[2] / "docs"


def test_the_observation_table_is_the_table_of_features() -> None:
    tables = (
        (DOCS / "environment.md").read_text(),
        re.sub(r"^ +", "", TaskOffloadingEnv.__doc__ or "", flags=re.MULTILINE),
    )
    for page in tables:
        rows = re.findall(r"^\| (\d+)" + r" \| ([^|]+)" * 4 + r" \| .+ \|$", page, re.MULTILINE)
        assert [(int(row[0]), row[1].strip("`"), *row[2:]) for row in rows] == [
            (number, *_as_written(feature)) for number, feature in enumerate(FEATURES)
        ]
        assert f"Box(0, 1, ({N_FEATURES},), float32)" in page


def _as_written(feature: Feature) -> tuple[str, str, str, str]:
    def plain(value: float) -> str:
        return f"{value:.0e}".replace("e+0", "e") if value >= 1e4 else f"{value:g}"

    high = plain(feature.high)
    return (
        feature.name,
        feature.unit,
        "linear" if feature.knee is None else plain(feature.knee),
        f"{plain(feature.low)} to {high}" if feature.low else high,
    )


def _settings(config: Any, prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in fields(config):
        value = getattr(config, entry.name)
        if is_dataclass(value):
            found |= _settings(value, f"{entry.name}.")
        else:
            found[prefix + entry.name] = str(value)
    return found


def test_every_setting_stands_there_with_its_default() -> None:
    page = (DOCS / "environment.md").read_text().partition("## Settings")[2]
    rows = re.findall(r"^\| `([\w.]+)` \| (?:`(.+?)`|all (\d+)) \|", page, re.MULTILINE)
    expected = _settings(EnvConfig()) | {"profiles": str(len(PROFILES))}
    assert {name: plain or counted for name, plain, counted in rows} == expected


def test_every_radio_stands_there_with_its_coefficients() -> None:
    page = (DOCS / "models.md").read_text()
    documented = {
        row[0]: [float(value) for value in row[1:]]
        for row in re.findall(r"^\| `(\w+)`" + r" \| ([\d.]+)" * 8 + r" \|$", page, re.MULTILINE)
    }
    per_mbps = 1e9  # W per bit/s -> mW per Mbit/s
    assert documented.keys() == RADIOS.keys()
    for name, radio in RADIOS.items():
        assert documented[name] == pytest.approx(
            [
                radio.uplink_w_per_bps * per_mbps,
                radio.downlink_w_per_bps * per_mbps,
                radio.uplink_base_w,
                radio.downlink_base_w,
                radio.tail_w,
                radio.tail_s,
                radio.promotion_w,
                radio.promotion_s,
            ]
        )


def test_the_example_of_the_page_runs() -> None:
    page = (DOCS / "environment.md").read_text()
    code = re.search(r"```python\n(.+?)```", page, re.DOTALL)
    assert code is not None
    done = subprocess.run(
        [sys.executable, "-c", code[1] + "print(len(observation), reward == -info['cost'])"],
        cwd=DOCS.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == [str(len(FEATURES)), "True"]
