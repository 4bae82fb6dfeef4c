"""Folders of evaluations that were made up, with names as nasty as a file may hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agents.report import write_columns

NASTY = '<script>alert(1)</script> "$x_1$" & {q}%\x01'
"""Markup, mathematics, LaTeX and a control character."""
N = 6


def made_score(cost: float = 0.9, **changed: Any) -> dict[str, Any]:
    """A policy's entry of result.json."""
    return {
        "accuracy": [0.875, 0.775, 0.975],
        "accuracy_ties": [0.9, 0.8, 0.98],
        "cost": [cost, cost - 0.08, cost + 0.08],
        "regret_maui_true": [0.03, -0.002, 0.07],
        "latency_p50_s": 0.25,
        "latency_p95_s": 3.5,
        "energy_j": 4.25,
        "offloaded": 0.5,
        "deadline_misses": 0.0,
        "fallbacks": 0.0,
        "collapsed": False,
        **changed,
    }


def made_evaluation(folder: Path, *, profile: str = "lte", **changed: Any) -> Path:
    """A live evaluation of six tasks, the last of which was not back from the edge."""
    folder.mkdir(parents=True)
    policies = {"always-local": made_score(1.0), "ppo": made_score(), "maui-true": made_score(0.85)}
    result = {
        "schema": 1,
        "profile": profile,
        "mode": "live",
        "backend": "tun",
        "objective": "mixed",
        "decisions": N,
        "seed": 3,
        "notes": [f"note on {profile}"],
        "policies": policies,
        "learned_policies_from": {"ppo": profile},
        "energy": "modelled",
        "latency": "measured",
        "details": {"congestion_control": "cubic", "device_cpu_limit": {"slowdown": 4.0}},
        "origin": {"command": f"python evaluate.py --trace {profile}", "packages": {}},
        **changed,
    }
    (folder / "result.json").write_text(json.dumps(result))
    facts: dict[str, Any] = {
        "task": ["ocr/medium"] * 3 + ["face/small"] * 3,
        "budget_s": [2.0] * N,
        "rtt_s": [0.1] * N,
        "jitter_s": [0.01] * N,
        "loss": [0.0] * N,
        "uplink_bps": [8e6] * N,
        "downlink_bps": [16e6] * N,
        "age_s": [0.0] * N,
        "predicted_local_s": [1.0] * N,
        "predicted_edge_s": [0.2] * N,
        "predicted_input_bytes": [1000.0] * N,
        "predicted_output_bytes": [1000.0] * N,
        "predicted_deadline_s": [3.0] * N,
        "edge_queue_seen_s": [0.0] * N,
        "local_measured_s": [1.0, 0.8, 1.25, 1.0, 1.0, 1.0],
    }
    for name, seconds in (("upload", 0.05), ("queue", 0.01), ("compute", 0.1), ("download", 0.05)):
        facts[f"edge_measured_{name}_s"] = [seconds] * (N - 1) + [""]
    facts["edge_measured_seconds"] = [0.21] * (N - 1) + [""]
    for name in result["policies"]:
        facts[f"{name}:placement"] = [0, 1, 0, 1, 0, 1]
        facts[f"{name}:optimum"] = [0, 1, 0, 1, 1, 1]
        facts[f"{name}:seconds"] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    write_columns(folder / "decisions.csv", facts)
    return folder
