"""Decision maps as data: where learned policies and the optimum offload, kept in a run's folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from agents.bundle import BundlePolicy
from agents.decision_map import make_grid
from agents.policies import LEARNED_NAMES
from agents.run_directory import read_json, write_json
from envs.config import EnvConfig
from envs.workload import WorkloadTable
from offload.errors import ConfigError
from offload.interfaces import Policy
from offload.tasks.profile_table import load_profile_table
from offload.types import FloatArray, IntArray, Objective

MAPS_NAME = "decision-maps.json"
FORMAT = 1
MOST = 2
"""Learned policies that are mapped: the first of each algorithm."""
_MAX_POINTS = 400


@dataclass(frozen=True, slots=True)
class DecisionMaps:
    """Placements over round-trip time and bandwidth, by task kind.

    Attributes:
        kinds: task kinds, with the size that is shown.
        rtt_s, rate_bps: the axes.
        optimum: maui-true's placements, shape (kinds, rates, RTTs).
        policies: each mapped policy's, of the same shape.
    """

    kinds: tuple[str, ...]
    rtt_s: FloatArray
    rate_bps: FloatArray
    optimum: IntArray
    policies: dict[str, IntArray]


class _Stored(msgspec.Struct):
    """The file: each map is a text of 0 and 1, rate before RTT."""

    format: int
    kinds: list[str]
    rtt_s: list[float]
    rate_bps: list[float]
    optimum: list[str]
    policies: dict[str, list[str]]


def write_maps(
    folder: Path, policies: Iterable[Policy], objective: Objective, congestion_control: str
) -> None:
    """Ask the first learned policy of each algorithm for its map; without any, write nothing."""
    first: dict[str, BundlePolicy] = {}
    for policy in policies:
        if isinstance(policy, BundlePolicy) and policy.bundle.algorithm in LEARNED_NAMES:
            first.setdefault(policy.bundle.algorithm, policy)
    if not first:
        return
    config = EnvConfig(objective=objective, congestion_control=congestion_control)
    grid = make_grid(config, WorkloadTable.of(load_profile_table(), config.workload))
    stored = _Stored(
        format=FORMAT,
        kinds=list(grid.kinds),
        rtt_s=grid.rtt_s.tolist(),
        rate_bps=grid.rate_bps.tolist(),
        optimum=_as_text(grid.optimum),
        policies={
            policy.name: _as_text(grid.answers(policy)) for policy in list(first.values())[:MOST]
        },
    )
    write_json(folder / MAPS_NAME, msgspec.to_builtins(stored))


def read_maps(path: Path) -> DecisionMaps:
    """Read what :func:`write_maps` wrote.

    Raises:
        ConfigError: missing, or not of that shape.
    """
    try:
        stored = msgspec.convert(read_json(path), _Stored)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error
    if stored.format != FORMAT:
        raise ConfigError(f"{path} is of format {stored.format}; this version reads {FORMAT}")
    shape = (len(stored.kinds), len(stored.rate_bps), len(stored.rtt_s))
    if not all(2 <= size <= _MAX_POINTS for size in shape[1:]) or not stored.kinds:
        raise ConfigError(f"{path}: maps of shape {shape}; axes need 2 to {_MAX_POINTS} points")
    axes = [np.array(stored.rtt_s), np.array(stored.rate_bps)]
    for axis in axes:
        if not (np.isfinite(axis).all() and axis[0] > 0.0 and (np.diff(axis) > 0.0).all()):
            raise ConfigError(f"{path}: the axes must be positive and rise")
    return DecisionMaps(
        kinds=tuple(stored.kinds),
        rtt_s=axes[0],
        rate_bps=axes[1],
        optimum=_as_array(path, stored.optimum, shape),
        policies={name: _as_array(path, maps, shape) for name, maps in stored.policies.items()},
    )


def _as_text(placements: IntArray) -> list[str]:
    return ["".join("1" if cell else "0" for cell in kind.ravel()) for kind in placements]


def _as_array(path: Path, texts: list[str], shape: tuple[int, int, int]) -> IntArray:
    size = shape[1] * shape[2]
    if len(texts) != shape[0] or any(len(t) != size or set(t) - {"0", "1"} for t in texts):
        raise ConfigError(f"{path}: a map must be {shape[0]} texts of {size} digits 0 or 1")
    return np.array([[int(cell) for cell in text] for text in texts]).reshape(shape)
