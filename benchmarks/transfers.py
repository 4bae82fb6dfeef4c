"""How long a message takes over an emulated link with TCP: what the link model is fitted to.

    python benchmarks/transfers.py                    # a short form, printed only
    campaign="--profiles all --max-bytes 5000000 --backend uml --output transfers-uml.csv"
    slow="--up-to-mbps 20 --parallel 9" fast="--faster-than-mbps 20 --parallel 5"
    python benchmarks/transfers.py $campaign $slow --grid 60 --repetitions 2     # the same: $fast
    python benchmarks/transfers.py $campaign $slow --repetitions 6               # the same: $fast
    gzip -9n transfers-uml.csv                        # for docs/measured

Messages go over one open connection as the edge client's do: TCP_NODELAY, kernel-sized buffers,
one message at a time, idle for longer than a retransmission timeout before each. A message's time
runs from its first byte handed to the sending socket until its last byte is read at the other end.
"""

from __future__ import annotations

import csv
import multiprocessing
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.link_model_fit.campaign import UNLIMITED_BPS, Block, Row, grid_links, measure
from offload.errors import BackendError, ConfigError, OffloadError
from offload.link_model import CONGESTION_CONTROLS, transfer_s
from offload.link_profiles import PROFILES, get_profile
from offload.types import DirectionProfile, LinkProfile


@dataclass(frozen=True)
class Config:
    """What to measure."""

    profiles: tuple[str, ...] = ("wifi", "congested")
    """Named profiles; ``all``: every one."""
    grid: int = 0
    """Links besides, drawn from a grid of rate, RTT, jitter, loss, burst and queue."""
    repetitions: int = 1
    """Connections for each link and congestion control; each carries every size both ways."""
    max_bytes: int = 300_000
    """Largest message. The campaign: 5000000."""
    faster_than_mbps: float = 0.0
    """Only links whose faster direction exceeds this."""
    up_to_mbps: float = 1e4
    """Only links whose faster direction is at most this; unlimited ones count as 1 Gbit/s."""
    minutes: float = 600.0
    """No connection is begun after that long."""
    parallel: int = 2
    """Links open at once."""
    backend: str = "auto"
    """Network backend; see ``python -m netem doctor``."""
    output: Path | None = None
    """CSV to add to. What it holds already is not measured again."""
    seed: int = 0


def blocks_of(config: Config) -> list[Block]:
    """Every connection to make: one repetition after the other, each in random order."""
    names = tuple(PROFILES) if config.profiles == ("all",) else config.profiles
    links = [*map(get_profile, names), *grid_links(config.grid, config.seed)]
    blocks = [
        Block(link, control, repetition, config.max_bytes, config.backend, config.seed)
        for link in links
        if config.faster_than_mbps < _faster_bps(link) / 1e6 <= config.up_to_mbps
        for control in CONGESTION_CONTROLS
        for repetition in range(config.repetitions)
    ]
    np.random.default_rng(config.seed).shuffle(blocks)
    return sorted(blocks, key=lambda block: block.repetition)


def _faster_bps(link: LinkProfile) -> float:
    return max(direction.rate_bps or UNLIMITED_BPS for direction in (link.uplink, link.downlink))


def missing(blocks: list[Block], output: Path | None) -> list[Block]:
    """The blocks that the file does not hold yet.

    Raises:
        ConfigError: the file is of another form.
    """
    if output is None or not output.exists():
        return blocks
    with output.open(newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != _HEADER:
            raise ConfigError(f"{output} has other columns; name a new file, or move it away")
        done = {(row["link"], row["congestion_control"], row["repetition"]) for row in reader}
    return [block for block in blocks if block.key not in done]


_HEADER = [entry.name for entry in fields(Row)]


def _append(rows: list[Row], file: IO[str]) -> None:
    writer = csv.DictWriter(file, _HEADER, lineterminator="\n")
    if file.tell() == 0:
        writer.writeheader()
    writer.writerows(map(asdict, rows))
    file.flush()


def run(config: Config) -> list[Row]:
    """Measure what is missing, writing each connection's rows as it ends."""
    blocks = missing(blocks_of(config), config.output)
    until_s = time.monotonic() + 60.0 * config.minutes
    measured: list[Row] = []
    left_out = 0
    with ExitStack() as stack:
        file = None
        if config.output is not None:
            config.output.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(config.output.open("a", newline=""))
        pool = stack.enter_context(
            ProcessPoolExecutor(config.parallel, multiprocessing.get_context("spawn"))
        )
        bar = stack.enter_context(tqdm(total=len(blocks), unit="connection", disable=None))
        waiting = iter(blocks)
        running = {pool.submit(measure, block) for block in islice(waiting, config.parallel)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                try:
                    rows = future.result()
                except BackendError as error:  # one link that broke is no reason to lose the rest
                    print(f"a connection is left out: {error}", file=sys.stderr)
                    rows, left_out = [], left_out + 1
                measured += rows
                if file is not None:
                    _append(rows, file)
                bar.update()
                if time.monotonic() < until_s:
                    running |= {pool.submit(measure, block) for block in islice(waiting, 1)}
    if left_out and not measured:
        raise BackendError(f"all {left_out} connections failed; the first reasons stand above")
    return measured


def main(config: Config) -> None:
    """Measure, then print what was measured beside the model's prediction."""
    try:
        rows = run(config)
    except OffloadError as error:
        raise SystemExit(f"transfers: {error}") from error
    if config.output is not None:
        print(f"{len(rows)} messages added to {config.output}")
        return
    table = Table("link", "direction", "congestion control", "bytes", "measured s", "model s")
    for row in sorted(
        rows, key=lambda row: (row.link, row.direction, row.congestion_control, row.n_bytes)
    ):
        table.add_row(
            row.link,
            row.direction,
            row.congestion_control,
            f"{row.n_bytes:,}",
            row.outcome if row.seconds is None else f"{row.seconds:.3f}",
            f"{_model_s(row):.3f}",
        )
    Console().print(table)


def _model_s(row: Row) -> float:
    one_way = DirectionProfile(
        row.rate_bps, row.delay_s, row.jitter_s, row.loss_enter, row.loss_leave, row.queue_s
    )
    seconds = transfer_s(
        row.n_bytes,
        row.rate_bps or UNLIMITED_BPS,
        2.0 * row.delay_s,
        one_way.loss,
        row.congestion_control,
        2.0**0.5 * row.jitter_s,
    )
    return float(seconds)


if __name__ == "__main__":
    main(tyro.cli(Config))
