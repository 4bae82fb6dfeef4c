"""One connection's worth of measured messages, and the links they are measured over."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from netem import Link, open_link
from netem.message_times import Messages, real_time
from offload.link_model import transfer_s
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
UNLIMITED_BPS = 1e9
"""What stands for no limit, as in the simulator."""


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


@dataclass(frozen=True, slots=True)
class Block:
    """One connection's worth of messages: every size up to ``max_bytes``, both ways."""

    profile: LinkProfile
    congestion_control: str
    repetition: int
    max_bytes: int
    backend: str
    seed: int

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


def measure(block: Block) -> list[Row]:
    """Open the link, send every size both ways in random order, close it."""
    with real_time(), open_link(block.profile, block.backend) as link:
        return list(_messages(block, link))


def _messages(block: Block, link: Link) -> Iterator[Row]:
    profile, control = block.profile, block.congestion_control
    seed = zlib.crc32("/".join((*block.key, str(block.seed))).encode())
    rng = np.random.default_rng(seed)
    sizes = [size for size in SIZES_BYTES if size <= block.max_bytes]
    cases = [(up, size) for up in (True, False) for size in sizes]
    rng.shuffle(cases)
    with Messages(link, control) as messages:
        for uplink, n_bytes in cases:
            one_way = profile.uplink if uplink else profile.downlink
            reverse = profile.downlink if uplink else profile.uplink
            rtt_s = one_way.delay_s + reverse.delay_s
            guess_s = transfer_s(
                n_bytes, one_way.rate_bps or UNLIMITED_BPS, rtt_s, one_way.loss, control
            )
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
