"""Which links a block of lanes has: profiles that drift, measured traces, or some of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from numpy.random import Generator

from envs.config import EnvConfig
from envs.lanes import side_by_side, take
from envs.link_process import LinkSamples, draw_links, synthetic_transfer
from envs.probe_times import ProbeTimes
from envs.trace_process import draw_replay, load_bank, replayed_transfer
from offload.types import FloatArray, TaskProfile, Transfer

ExactTransfer: TypeAlias = Callable[[TaskProfile, FloatArray], Transfer]
"""From what the tasks really take and the edge's true queueing to both transfers' seconds, on links
that change meanwhile, without what the link model misses."""

DrawLinks: TypeAlias = Callable[
    [Generator, EnvConfig, ProbeTimes], tuple[LinkSamples, ExactTransfer]
]
"""A way to draw a block of links, such as :func:`draw_all_links`."""


def link_names(config: EnvConfig) -> tuple[str, ...]:
    """What ``LinkSamples.profile`` counts: profiles' names, then traces', of those in use."""
    if not config.traces:
        return config.profiles
    traces = load_bank(config.traces, config.trace_base).names
    return traces if config.trace_share == 1.0 else config.profiles + traces


def draw_all_links(
    rng: Generator, config: EnvConfig, probes: ProbeTimes
) -> tuple[LinkSamples, ExactTransfer]:
    """Draw a block of links, those of profiles before those of traces.

    Args:
        probes: when the device decides, and when it measured.
    """
    lanes = probes.gap_s.shape[1]
    replayed = _replayed_lanes(rng, config, lanes)
    if replayed == 0:
        return _of_profiles(rng, config, probes)
    if replayed == lanes:
        return _of_traces(rng, config, probes)
    front, back = slice(lanes - replayed), slice(lanes - replayed, lanes)
    first, first_transfer = _of_profiles(rng, config, take(probes, front))
    second, second_transfer = _of_traces(rng, config, take(probes, back))

    def exact(task: TaskProfile, edge_queue_s: FloatArray) -> Transfer:
        return side_by_side(
            first_transfer(take(task, front), take(edge_queue_s, front)),
            second_transfer(take(task, back), take(edge_queue_s, back)),
        )

    return side_by_side(first, second), exact


def _replayed_lanes(rng: Generator, config: EnvConfig, lanes: int) -> int:
    """How many lanes replay traces: the share that was set, rounded up or down by chance."""
    if not config.traces:
        return 0
    if config.trace_share == 1.0:
        return lanes
    return int(config.trace_share * lanes + rng.random())


def _of_profiles(
    rng: Generator, config: EnvConfig, probes: ProbeTimes
) -> tuple[LinkSamples, ExactTransfer]:
    links, calm = draw_links(rng, config.link, config.profiles, probes)

    def exact(task: TaskProfile, edge_queue_s: FloatArray) -> Transfer:
        return synthetic_transfer(calm, links.true, task, edge_queue_s, config.congestion_control)

    return links, exact


def _of_traces(
    rng: Generator, config: EnvConfig, probes: ProbeTimes
) -> tuple[LinkSamples, ExactTransfer]:
    bank = load_bank(config.traces, config.trace_base)
    links, replay = draw_replay(rng, config.link, bank, probes)
    if config.trace_share < 1.0:
        links = replace(links, profile=links.profile + len(config.profiles))

    def exact(task: TaskProfile, edge_queue_s: FloatArray) -> Transfer:
        return replayed_transfer(replay, links.true, task, edge_queue_s, config.congestion_control)

    return links, exact
