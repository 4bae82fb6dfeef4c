"""Writes docs/traces/: one made-up link of 20 s, in every format that offload.link_trace reads.

    python scripts/sample_traces.py

The link is a formula, not a measurement: rates and round-trip time swing, there is an outage of the
downlink from 12 to 13 s, and 2 % loss from 5 to 8 s.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "traces"
ROW_MS = 500
ROWS = 40
OPPORTUNITY_BITS = 1504 * 8


def rows() -> list[tuple[float, float, float, float, float]]:
    """Start (s), downlink and uplink (Mbit/s), round trip (ms) and loss of each row."""
    made = []
    for row in range(ROWS):
        t_s = row * ROW_MS / 1e3
        down = 0.0 if 12.0 <= t_s < 13.0 else 4.0 + 2.5 * math.sin(2 * math.pi * t_s / 9.0)
        up = 1.6 + 0.9 * math.sin(2 * math.pi * t_s / 7.0 + 1.0)
        rtt = 60.0 + 20.0 * math.sin(2 * math.pi * t_s / 11.0)
        loss = 0.02 if 5.0 <= t_s < 8.0 else 0.0
        made.append((t_s, round(down, 3), round(up, 3), round(rtt, 1), loss))
    return made


def opportunities(rates_mbps: list[float]) -> list[int]:
    """Mahimahi's lines: the millisecond in which each next 1504 bytes have been earned."""
    made, earned_bits = [], 0.0
    for millisecond in range(1, ROWS * ROW_MS + 1):
        earned_bits += rates_mbps[(millisecond - 1) // ROW_MS] * 1e3
        while earned_bits >= OPPORTUNITY_BITS:
            earned_bits -= OPPORTUNITY_BITS
            made.append(millisecond)
    return made


def write(folder: Path) -> None:
    """Write the samples."""
    folder.mkdir(parents=True, exist_ok=True)
    link = rows()

    def text(name: str, lines: list[str]) -> None:
        (folder / name).write_text("\n".join(lines) + "\n")

    text(
        "sample.csv",
        ["t_s,down_mbps,up_mbps,rtt_ms,loss,tech"]
        + [f"{t:g},{down},{up},{rtt},{loss:g},LTE" for t, down, up, rtt, loss in link],
    )
    text("bandwidth.txt", [f"{t:g} {down}" for t, down, _, _, _ in link])
    text(
        "bandwidth-rtt-loss.txt", [f"{t:g} {down} {rtt} {loss:g}" for t, down, _, rtt, loss in link]
    )
    text("mahimahi.down", [str(ms) for ms in opportunities([row[1] for row in link])])
    text("mahimahi.up", [str(ms) for ms in opportunities([row[2] for row in link])])
    pattern = {
        name: [
            {"duration": ROW_MS, "capacity": round(row[column] * 1e3, 3), "rtt": row[3],
             "loss": row[4]}
            for row in link
        ]
        for name, column in (("downlink", 1), ("uplink", 2))
    }  # fmt: skip
    document = {"type": "video"} | {name: {"trace_pattern": part} for name, part in pattern.items()}
    text("alphartc.json", [json.dumps(document, indent=1)])


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
