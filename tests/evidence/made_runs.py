"""Live runs that were made up, as folders and as objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.paired import pair_facts
from agents.report import write_columns
from evidence.agreement.set_links import set_facts
from offload.types import (
    EdgeState,
    LinkState,
    PairedRun,
    PlacementCost,
    TaskInstance,
    TaskProfile,
)

QUIET = LinkState(rtt_s=0.1, jitter_s=0.0, loss=0.0, uplink_bps=8e6, downlink_bps=8e6)
"""A small message takes just half of the round trip over it: 3,200 bytes go at once."""


def made_pair(
    task: str = "denoise/small",
    *,
    local_s: float = 0.4,
    edge: tuple[float, float, float, float] | None = (0.05, 0.001, 0.1, 0.05),
    predicted: tuple[float, float] = (0.4, 0.1),
    n_bytes: float = 1000.0,
    budget_s: float = 2.0,
    trace_s: float | None = None,
    link: LinkState = QUIET,
) -> PairedRun:
    """One pair; ``edge`` is upload, queue, compute, download; ``predicted`` local and edge."""
    kind, _, size = task.partition("/")
    return PairedRun(
        task=TaskInstance(kind, size, 7),
        link=link,
        edge_seen=EdgeState(0.0, 0.0),
        predicted=TaskProfile(*predicted, n_bytes, n_bytes, deadline_s=predicted[0] + budget_s),
        budget_s=budget_s,
        local=PlacementCost(0.0, 0.0, local_s, 0.0, 0.0, 0.0),
        edge=None if edge is None else PlacementCost(*edge, 0.0, 0.0),
        correct=True,
        detail="" if edge is not None else "RemoteTimeout: too late",
        trace_s=trace_s,
    )


def made_folder(
    folder: Path,
    pairs: Sequence[PairedRun],
    choices: dict[str, tuple[Sequence[int], Sequence[int]]] | None = None,
    links: Sequence[LinkState] | None = None,
    **result: Any,
) -> Path:
    """Write a run's folder: each policy's placements and optima in ``choices``."""
    folder.mkdir(parents=True)
    facts = pair_facts(pairs)
    facts |= set_facts(links or [QUIET] * len(pairs))
    for name, (placement, optimum) in (choices or {}).items():
        facts[f"{name}:placement"] = list(placement)
        facts[f"{name}:optimum"] = list(optimum)
    write_columns(folder / "decisions.csv", facts)
    told = {
        "mode": "live",
        "profile": "lte",
        "objective": "latency",
        "details": {"congestion_control": "cubic", "device_cpu_limit": {"slowdown": 4.0}},
        **result,
    }
    (folder / "result.json").write_text(json.dumps(told))
    return folder
