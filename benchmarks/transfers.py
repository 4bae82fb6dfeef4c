"""How long a message takes over an emulated link with TCP: what the link model is fitted to.

    python benchmarks/transfers.py                    # a short form, printed only
    campaign="--profiles all --max-bytes 5000000 --backend uml --output transfers-uml.csv"
    python benchmarks/transfers.py $campaign --grid 60 --repetitions 2 --parallel 8
    python benchmarks/transfers.py $campaign --repetitions 6 --parallel 8    # profiles again
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
import zlib
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from netem import Link, open_link
from netem.message_times import Messages, real_time
from offload.errors import BackendError, ConfigError, OffloadError
from offload.link_model import CONGESTION_CONTROLS, transfer_s
from offload.link_profiles import PROFILES, get_profile
from offload.types import DirectionProfile, LinkProfile

SIZES_BYTES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 5_000_000)
LONGEST_S = 30.0
"""A message given up after this long is censored; one that the model says takes longer, skipped."""
GRID_RATES_MBPS = (0.3, 0.7, 1.5, 3.0, 7.0, 15.0, 40.0, 100.0)
GRID_RTTS_MS = (5, 10, 20, 40, 80, 150, 300)
GRID_LOSSES = (0.0, 0.001, 0.01, 0.03)
GRID_BURSTS_PACKETS = (2.0, 4.0)
GRID_JITTER_SHARES = (0.0, 0.1, 0.35)
"""Jitter as a share of the one-way delay; the profiles have 0.17 to 0.6."""
GRID_QUEUES_S = (0.05, 0.15, 0.5)
MAX_ASYMMETRY = 20.0


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
    """Only links whose faster direction is at most this; unlimited ones count as 1,000 Mbit/s."""
    minutes: float = 600.0
    """No connection is begun after that long."""
    parallel: int = 2
    """Links open at once."""
    backend: str = "auto"
    """Network backend; see ``python -m netem doctor``."""
    output: Path | None = None
    """CSV to add to. What it holds already is not measured again."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One message. Rates 0: unlimited; ``seconds`` empty: censored or skipped."""

    link: str
    direction: str
    congestion_control: str
    n_bytes: int
    seconds: float | None
    outcome: str
    rate_bps: float
    reverse_bps: float
    delay_s: float
    jitter_s: float
    loss_enter: float
    loss_leave: float
    queue_s: float
    number: int
    idle_s: float
    cwnd_segments: int
    retransmits: int
    stall_s: float
    backend: str
    repetition: int
    seed: int


@dataclass(frozen=True)
class Block:
    """One connection's worth of messages."""

    profile: LinkProfile
    congestion_control: str
    repetition: int
    config: Config

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells blocks apart in the file."""
        return self.profile.name, self.congestion_control, str(self.repetition)


def grid_links(count: int, seed: int) -> list[LinkProfile]:
    """Random points of the grid; the first ones stay the same when there are more."""
    rng = np.random.default_rng(seed)
    links = []
    for number in range(count):
        uplink_mbps, downlink_mbps = rng.choice(GRID_RATES_MBPS, 2)
        while not 1 / MAX_ASYMMETRY <= uplink_mbps / downlink_mbps <= MAX_ASYMMETRY:
            uplink_mbps, downlink_mbps = rng.choice(GRID_RATES_MBPS, 2)
        delay_s = float(rng.choice(GRID_RTTS_MS)) / 2e3
        loss, leave = float(rng.choice(GRID_LOSSES)), 1.0 / float(rng.choice(GRID_BURSTS_PACKETS))
        one_way = DirectionProfile(
            rate_bps=None,
            delay_s=delay_s,
            jitter_s=delay_s * float(rng.choice(GRID_JITTER_SHARES)),
            loss_enter=leave * loss / (1.0 - loss),
            loss_leave=leave,
            queue_s=float(rng.choice(GRID_QUEUES_S)),
        )
        links.append(
            LinkProfile(
                f"grid-{number:03d}",
                replace(one_way, rate_bps=float(uplink_mbps) * 1e6),
                replace(one_way, rate_bps=float(downlink_mbps) * 1e6),
                radio="lte",
                source="grid",
            )
        )
    return links


def blocks_of(config: Config) -> list[Block]:
    """Every connection to make: one repetition after the other, each in random order."""
    names = tuple(PROFILES) if config.profiles == ("all",) else config.profiles
    links = [*map(get_profile, names), *grid_links(config.grid, config.seed)]
    blocks = [
        Block(link, control, repetition, config)
        for link in links
        if config.faster_than_mbps < _faster_bps(link) / 1e6 <= config.up_to_mbps
        for control in CONGESTION_CONTROLS
        for repetition in range(config.repetitions)
    ]
    np.random.default_rng(config.seed).shuffle(blocks)
    return sorted(blocks, key=lambda block: block.repetition)


def _faster_bps(link: LinkProfile) -> float:
    return max(direction.rate_bps or 1e9 for direction in (link.uplink, link.downlink))


def measure(block: Block) -> list[Row]:
    """Open the link, send every size both ways in random order, close it."""
    with real_time(), open_link(block.profile, block.config.backend) as link:
        return list(_messages(block, link))


def _messages(block: Block, link: Link) -> Iterator[Row]:
    profile, control = block.profile, block.congestion_control
    seed = zlib.crc32("/".join((*block.key, str(block.config.seed))).encode())
    rng = np.random.default_rng(seed)
    sizes = [size for size in SIZES_BYTES if size <= block.config.max_bytes]
    cases = [(up, size) for up in (True, False) for size in sizes]
    rng.shuffle(cases)
    with Messages(link, control) as messages:
        for uplink, n_bytes in cases:
            one_way = profile.uplink if uplink else profile.downlink
            reverse = profile.downlink if uplink else profile.uplink
            rtt_s = one_way.delay_s + reverse.delay_s
            guess_s = transfer_s(n_bytes, one_way.rate_bps or 1e9, rtt_s, one_way.loss, control)
            idle_s = float(np.exp(rng.uniform(np.log(0.5), np.log(3.0))))
            sent = None
            if guess_s < LONGEST_S:
                sent = messages.send(uplink, n_bytes, idle_s=idle_s, longest_s=LONGEST_S)
            yield Row(
                link=profile.name,
                direction="up" if uplink else "down",
                congestion_control=control,
                n_bytes=n_bytes,
                seconds=None if sent is None or sent.seconds is None else round(sent.seconds, 6),
                outcome=_outcome(sent is None, sent is not None and sent.seconds is None),
                rate_bps=one_way.rate_bps or 0.0,
                reverse_bps=reverse.rate_bps or 0.0,
                delay_s=one_way.delay_s,
                jitter_s=one_way.jitter_s,
                loss_enter=round(one_way.loss_enter, 9),
                loss_leave=one_way.loss_leave,
                queue_s=one_way.queue_s,
                number=0 if sent is None else sent.number,
                idle_s=round(idle_s if sent is None else sent.idle_s, 3),
                cwnd_segments=0 if sent is None else sent.cwnd_segments,
                retransmits=0 if sent is None else sent.retransmits,
                stall_s=0.0 if sent is None else round(sent.stall_s, 4),
                backend=link.backend,
                repetition=block.repetition,
                seed=seed,
            )


def _outcome(skipped: bool, censored: bool) -> str:
    return "skipped" if skipped else "censored" if censored else "ok"


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
        rate_bps = row.rate_bps or 1e9
        model_s = transfer_s(
            row.n_bytes, rate_bps, 2 * row.delay_s, _loss(row), row.congestion_control
        )
        table.add_row(
            row.link,
            row.direction,
            row.congestion_control,
            f"{row.n_bytes:,}",
            row.outcome if row.seconds is None else f"{row.seconds:.3f}",
            f"{model_s:.3f}",
        )
    Console().print(table)


def _loss(row: Row) -> float:
    return DirectionProfile(
        row.rate_bps, row.delay_s, row.jitter_s, row.loss_enter, row.loss_leave, row.queue_s
    ).loss


if __name__ == "__main__":
    main(tyro.cli(Config))
