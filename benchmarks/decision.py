"""Time of one decision, by way of making it: ``python benchmarks/decision.py``."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.bundle import BundlePolicy
from agents.run_directory import MODEL_NAME
from agents.training import TrainConfig, train
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import draw_scenario
from envs.streams import Purpose, stream
from envs.workload import WorkloadTable
from offload.features import encode
from offload.tasks.profile_table import load_profile_table

REPEATS = 5_000
BATCH = 4096


def _microseconds(call: Callable[[int], object], repeats: int = REPEATS) -> tuple[float, float]:
    """Median and 99th percentile of one call, after a warm-up."""
    for index in range(100):
        call(index)
    spans = np.empty(repeats)
    for index in range(repeats):
        start = time.perf_counter_ns()
        call(index)
        spans[index] = time.perf_counter_ns() - start
    return float(np.median(spans)) / 1e3, float(np.percentile(spans, 99)) / 1e3


def main() -> None:
    """Train a little, then time every way of deciding with that policy."""
    from stable_baselines3 import PPO

    config = EnvConfig()
    table = WorkloadTable.of(load_profile_table(), config.workload)
    many = OffloadDynamics(
        draw_scenario(stream(Purpose.TEST, 0), config, table, BATCH), config
    ).observation()
    one = OffloadDynamics(
        draw_scenario(stream(Purpose.TEST, 0), config, table, 1).lane(0), config
    ).measured_context()
    with tempfile.TemporaryDirectory() as runs:
        result = train(TrainConfig(steps=20_000), Path(runs), tensorboard=False, progress=False)
        model = PPO.load(result.folder / MODEL_NAME, device="cpu")
    policy = BundlePolicy(result.bundle)
    rows = {
        "bundle, from the observation": _microseconds(lambda i: policy.act(many[i % BATCH])),
        "observation from the context": _microseconds(lambda i: encode(one, config.objective)),
        "bundle, from the context": _microseconds(lambda i: policy.decide(one)),
        "SB3 predict, from the observation": _microseconds(
            lambda i: model.predict(many[i % BATCH], deterministic=True), 1000
        ),
    }
    batch_us, batch_p99_us = _microseconds(lambda i: policy.act_batch(many), 200)
    rows[f"bundle, one of a batch of {BATCH}"] = (batch_us / BATCH, batch_p99_us / BATCH)

    shown = Table("way", "p50 us", "p99 us", title="One decision")
    for name, (median, tail) in rows.items():
        shown.add_row(name, f"{median:.2f}", f"{tail:.2f}")
    Console().print(shown)


if __name__ == "__main__":
    main()
