"""Time of one decision, by way of making it: ``python benchmarks/decision.py``.

One network, of the size that ships, in four forms: the bundle (NumPy), ONNX Runtime on the exported
model, the torch module, and stable-baselines3's ``predict``. What is timed is one call after
another on one thread, in turns, so that all meet the same disturbances of the machine.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from envs.config import EnvConfig
from offload.cost_model import transfer
from offload.energy_model import RADIOS
from offload.errors import OffloadError
from offload.features import raw_features, scale
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    LinkState,
    TaskProfile,
)

CALLS = 250
BATCH = 65_536
SB3 = "SB3 predict"
BUNDLE = "bundle"
CONTEXT = DecisionContext(
    link=LinkState(0.06, 0.008, 0.01, 8e6, 3e7, 1.2),
    task=TaskProfile(local_s=0.9, edge_s=0.2, input_bytes=2e5, output_bytes=4e3, deadline_s=3.0),
    device=DeviceState(
        queue_s=0.4,
        battery=0.7,
        radio=RADIOS["lte"],
        radio_tail_left_s=2.0,
        cpu_w=5.0,
        idle_w=0.2,
    ),
    edge=EdgeState(queue_s=0.1, age_s=1.2),
    reference_s=1.4,
    reference_j=4.5,
)
"""What a device knows when it decides: plain numbers, the transfer not yet predicted."""


@dataclass(frozen=True)
class Options:
    """Time every way of deciding, side by side."""

    rounds: int = 20
    """Turns of each; a turn is 250 single decisions, or one batch."""


def _percentiles_us(
    calls: dict[str, Callable[[int], object]], rounds: int
) -> dict[str, tuple[float, float]]:
    """Median and 99th percentile of each, timed in turns, the first of which does not count."""
    spans: dict[str, list[int]] = {name: [] for name in calls}
    for around in range(rounds + 1):
        for name, call in calls.items():
            for index in range(CALLS):
                start = time.perf_counter_ns()
                call(around * CALLS + index)
                spans[name].append(time.perf_counter_ns() - start)
    kept = {name: np.array(taken[CALLS:]) / 1e3 for name, taken in spans.items()}
    return {name: (float(np.median(us)), float(np.percentile(us, 99))) for name, us in kept.items()}


def _millions_per_s(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Million decisions in a second of the clock, and of CPU time: others use the machine too."""
    call()
    seconds = []
    for _ in range(rounds):
        start, cpu = time.perf_counter(), time.process_time()
        call()
        seconds.append((time.perf_counter() - start, time.process_time() - cpu))
    clock, cpu_s = np.median(seconds, axis=0)
    return float(BATCH / clock / 1e6), float(BATCH / cpu_s / 1e6)


def _raw_observations(config: EnvConfig) -> np.ndarray:
    """What devices meet, in physical units, shape (BATCH, N_FEATURES)."""
    from envs.dynamics import OffloadDynamics
    from envs.scenario import draw_scenario
    from envs.streams import Purpose, stream
    from envs.workload import WorkloadTable
    from offload.tasks.profile_table import load_profile_table

    table = WorkloadTable.of(load_profile_table(), config.workload)
    dynamics = OffloadDynamics(
        draw_scenario(stream(Purpose.TEST, 0), config, table, BATCH // 64), config
    )
    rows = []
    while not dynamics.done:
        rows.append(raw_features(dynamics.measured_context(), config.objective))
        dynamics.step(np.arange(dynamics.scenario.lanes) % 2)
    return np.concatenate(rows)


def _onnx_session(model: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def main(options: Options) -> None:
    """Train a little, then time every way of deciding with that policy."""
    import torch
    from stable_baselines3 import PPO

    from agents.bundle import BundlePolicy
    from agents.onnx_export import to_onnx
    from agents.run_directory import MODEL_NAME
    from agents.training import TrainConfig, train

    torch.set_num_threads(1)
    raw = _raw_observations(EnvConfig())
    many = scale(raw)
    with tempfile.TemporaryDirectory() as runs:
        result = train(TrainConfig(steps=20_000), Path(runs), tensorboard=False, progress=False)
        model = PPO.load(result.folder / MODEL_NAME, device="cpu")
    policy = BundlePolicy(result.bundle)
    session = _onnx_session(to_onnx(result.bundle))
    known = replace(CONTEXT, moved=transfer(CONTEXT.link, CONTEXT.task, CONTEXT.congestion_control))
    network: Any = torch.nn.Sequential(
        *model.policy.mlp_extractor.policy_net, model.policy.action_net
    )

    def by_torch(index: int) -> int:
        with torch.inference_mode():
            return int(network(torch.from_numpy(many[index])).argmax())

    took = _percentiles_us(
        {
            BUNDLE: lambda i: policy.act(many[i]),
            "ONNX Runtime, physical units in": lambda i: session.run(
                ["placement"], {"features": raw[i : i + 1]}
            ),
            "torch module": by_torch,
            SB3: lambda i: model.predict(many[i], deterministic=True),
            "bundle, from what the device knows": lambda i: policy.decide(CONTEXT),
            "the same, transfer predicted before": lambda i: policy.decide(known),
        },
        options.rounds,
    )
    console = Console()
    shown = Table("one decision", "p50 us", "p99 us", "times SB3 predict", title="One at a time")
    for name, (median, tail) in took.items():
        shown.add_row(name, f"{median:.2f}", f"{tail:.2f}", f"{took[SB3][0] / median:.1f}")
    console.print(shown)

    def torch_batch() -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(many)).argmax(dim=1)

    shown = Table(
        "way", "million decisions/s", "million a CPU-second", title=f"Batches of {BATCH:,}"
    )
    for name, call in (
        (BUNDLE, lambda: policy.act_batch(many)),
        ("ONNX Runtime, physical units in", lambda: session.run(["placement"], {"features": raw})),
        ("torch module", torch_batch),
        (SB3, lambda: model.predict(many, deterministic=True)),
    ):
        shown.add_row(name, *(f"{speed:.2f}" for speed in _millions_per_s(call, options.rounds)))
    console.print(shown)


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except OffloadError as error:
        sys.exit(f"error: {error}")
