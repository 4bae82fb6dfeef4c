from __future__ import annotations

from pathlib import Path

import pytest

from envs.config import EnvConfig, WorkloadConfig
from envs.workload import WorkloadTable
from offload.tasks.profile_table import ProfileRow, ProfileTable, save_profile_table

TABLE = ProfileTable(
    rows=(
        ProfileRow("ocr", "small", 0.5, 0.12, 0.2, 0.2, 18_000.0, 50.0, 0.04, 0.1, 5),
        ProfileRow("ocr", "large", 6.0, 2.0, 0.3, 0.3, 110_000.0, 440.0, 0.03, 0.1, 5),
        ProfileRow("blur", "large", 0.09, 0.02, 0.02, 0.02, 750_000.0, 130_000.0, 0.02, 0.1, 5),
        ProfileRow("sudoku", "small", 0.0007, 0.0002, 0.2, 0.2, 81.0, 81.0, 0.0, 0.0, 5),
    ),
    slowdown=4.0,
    machine="none",
    method="written by hand",
    created="2026-01-01",
)


@pytest.fixture
def profile_table(tmp_path: Path) -> Path:
    """A small table of tasks that does not change when the shipped one is measured again."""
    path = tmp_path / "profiles.json"
    save_profile_table(TABLE, path)
    return path


@pytest.fixture
def workload_table() -> WorkloadTable:
    return WorkloadTable.of(TABLE, WorkloadConfig())


@pytest.fixture
def busy_config() -> EnvConfig:
    """Bad links and much work: fallbacks, queues and radio tails all occur."""
    return EnvConfig(
        profiles=("lte", "congested", "wifi_busy"),
        episode_tasks=64,
        workload=WorkloadConfig(load_low=0.3, load_high=1.2),
    )
