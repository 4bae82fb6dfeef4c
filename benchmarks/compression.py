"""Is compressing chosen where it pays? Round trips as they are, compressed, and as chosen.

python benchmarks/compression.py

Real requests to a real server over a proxied link of a set rate, and over the bare loopback; the
task gives its input back. The choice knows the link only from its client's own traffic. Per payload
and link: median seconds of each way, and how often the choice compressed the input.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.edge_load import NO_OP, running_server
from client_library.own_traffic import OwnTraffic
from edge_server.client import EdgeClient
from edge_server.client_hooks import Compressor
from edge_server.compression import compress
from edge_server.compression_choice import CompressionChoice
from netem import open_link
from offload.errors import OffloadError
from offload.tasks import get_task
from offload.types import DirectionProfile, LinkProfile, TaskInstance

WAYS = ("as it is", "compressed", "as chosen")
_WARM_UPS = 3
_BUDGET_S = 60.0


@dataclass(frozen=True)
class Config:
    """What to time."""

    rates_mbps: tuple[float, ...] = (2.0, 20.0, 0.0)
    """Of the link, each way; 0: the bare loopback."""
    delay_ms: float = 10.0
    payload_bytes: int = 200_000
    """At most 1,800,000: so long is the log."""
    runs: int = 5
    seed: int = 0


class Always:
    """A compressor that does not ask."""

    def pack(self, kind: str, payload: bytes) -> tuple[bytes, int]:
        """Compressed, whatever it is."""
        return compress(payload), len(payload)

    def wants_answers(self, kind: str) -> bool:
        """Always."""
        return True

    def saw_answer(self, kind: str, output: bytes) -> None:
        """Nothing is learned."""


def payloads(config: Config) -> dict[str, bytes]:
    """A log, numbers and noise of one length, by name."""
    rng = np.random.default_rng(config.seed)
    log = get_task("lzma").make_input("large", config.seed)  # lines of a web server's log
    steps = rng.normal(0, 20, config.payload_bytes // 2).cumsum().astype("<i2").tobytes()
    return {
        "log": log[: config.payload_bytes],
        "16-bit samples": steps[: config.payload_bytes],
        "noise (as a JPEG)": rng.bytes(config.payload_bytes),
    }


@contextmanager
def reached(rate_mbps: float, delay_ms: float, port: int) -> Iterator[tuple[str, int]]:
    """Where the server at ``port`` of the loopback is reached over such a link."""
    if rate_mbps == 0.0:
        yield "127.0.0.1", port
        return
    direction = DirectionProfile(rate_mbps * 1e6, delay_ms / 1e3, 0.0, 0.0, 1.0, 0.3)
    profile = LinkProfile(f"{rate_mbps:g} Mbit/s", direction, direction, "wifi", "set here")
    with open_link(profile, "proxy") as link:
        yield link.reach(port)


def measure(at: tuple[str, int], way: str, payload: bytes, runs: int) -> tuple[float, float]:
    """Median seconds of a round trip, and the share of inputs that were compressed."""
    traffic = OwnTraffic()
    choice = CompressionChoice(traffic.state)
    ways: dict[str, Compressor | None] = dict(zip(WAYS, (None, Always(), choice), strict=True))
    seconds = []
    with EdgeClient(*at, observer=traffic, compressor=ways[way]) as client:
        for _ in range(_WARM_UPS):
            client.ping(_BUDGET_S)
            client.probe_uplink(32_768, _BUDGET_S)
        for run in range(_WARM_UPS + runs):
            if run == _WARM_UPS:
                choice.compressed = choice.plain = 0
            began_s = time.perf_counter()
            done = client.execute(TaskInstance(NO_OP, "", run), payload, _BUDGET_S)
            seconds.append(time.perf_counter() - began_s)
            if done.output != payload:
                raise OffloadError("the answer is not what was sent")
    share = choice.compressed / runs if way == "as chosen" else float(way == "compressed")
    return statistics.median(seconds[_WARM_UPS:]), share


def main(config: Config) -> None:
    """Measure and print."""
    table = Table(title=f"round trip of {config.payload_bytes} bytes, median of {config.runs}")
    for name in ("link", "payload", "zstd ratio", *(f"{way}, ms" for way in WAYS), "chose zstd"):
        table.add_column(name, justify="right")
    made = payloads(config)
    bar = tqdm(total=len(config.rates_mbps) * len(made) * len(WAYS), disable=None, leave=False)
    with running_server(workers=1) as port, bar:
        for rate_mbps in config.rates_mbps:
            with reached(rate_mbps, config.delay_ms, port) as at:
                for name, payload in made.items():
                    cells, share = [], 0.0
                    for way in WAYS:
                        median_s, share = measure(at, way, payload, config.runs)
                        cells.append(f"{median_s * 1e3:.1f}")
                        bar.update()
                    link = f"{rate_mbps:g} Mbit/s" if rate_mbps else "loopback"
                    ratio = len(payload) / len(compress(payload))
                    table.add_row(link, name, f"{ratio:.2f}", *cells, f"{share:.0%}")
    Console().print(table)


if __name__ == "__main__":
    main(tyro.cli(Config))
