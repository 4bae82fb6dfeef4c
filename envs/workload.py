"""Which tasks arrive, when, and how long they really take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from envs.config import WorkloadConfig
from offload.errors import ConfigError, UnknownNameError
from offload.tasks.profile_table import ProfileTable
from offload.types import FloatArray, IntArray, TaskProfile

SIDE_SPREAD = 0.03
"""Standard deviation of ln(seconds) that the two sides do not share: scheduling, caches."""


@dataclass(frozen=True, slots=True)
class WorkloadSamples:
    """A block of tasks; every array has shape (steps, lanes).

    Attributes:
        row: index into the rows of the profile table that were used.
        gap_s: time since the task before arrived; 0 in the first row.
        true: what the tasks really take.
        predicted: what the device knows before it runs them: the table's medians, but the
            input's true size, since it holds the input.
    """

    row: IntArray
    gap_s: FloatArray
    true: TaskProfile
    predicted: TaskProfile


@dataclass(frozen=True, slots=True)
class WorkloadTable:
    """The rows of a profile table that a workload draws from, as columns of shape (rows,)."""

    labels: tuple[str, ...]
    local_s: FloatArray
    edge_s: FloatArray
    seconds_spread: FloatArray
    input_bytes: FloatArray
    output_bytes: FloatArray
    input_spread: FloatArray
    output_spread: FloatArray

    @classmethod
    def of(cls, table: ProfileTable, config: WorkloadConfig) -> WorkloadTable:
        """Choose the rows.

        Raises:
            UnknownNameError: a kind the table does not hold.
            ConfigError: no row is left.
        """
        held = {row.kind for row in table.rows}
        for kind in config.kinds:
            if kind not in held:
                raise UnknownNameError("task kind", kind, held)
        rows = [
            row
            for row in table.rows
            if (not config.kinds or row.kind in config.kinds) and row.local_s <= config.max_local_s
        ]
        if not rows:
            raise ConfigError(f"no task of the table runs within max_local_s={config.max_local_s}")
        return cls(
            labels=tuple(f"{row.kind}/{row.size}" for row in rows),
            local_s=np.array([row.local_s for row in rows]),
            edge_s=np.array([row.edge_s for row in rows]),
            seconds_spread=np.array([(row.local_spread + row.edge_spread) / 2 for row in rows]),
            input_bytes=np.array([row.input_bytes for row in rows]),
            output_bytes=np.array([row.output_bytes for row in rows]),
            input_spread=np.array([row.input_spread for row in rows]),
            output_spread=np.array([row.output_spread for row in rows]),
        )


def draw_workload(
    rng: Generator, config: WorkloadConfig, table: WorkloadTable, steps: int, lanes: int
) -> WorkloadSamples:
    """Draw a block of tasks; each lane has a mix and a load of its own."""
    shape = (steps, lanes)
    mix = rng.gamma(config.mix_concentration, size=(lanes, len(table.labels))) + 1e-9
    mix /= mix.sum(axis=1, keepdims=True)
    edges = np.cumsum(mix, axis=1)[:, :-1]
    row = (rng.random(shape)[..., None] > edges).sum(axis=-1)

    load = np.exp(rng.uniform(np.log(config.load_low), np.log(config.load_high), lanes))
    gap_s = rng.exponential(1.0, shape) * (mix @ table.local_s) / load
    gap_s[0] = 0.0

    local_s, edge_s = table.local_s[row], table.edge_s[row]
    shared = table.seconds_spread[row] * rng.standard_normal(shape)
    input_bytes = table.input_bytes[row] * np.exp(
        table.input_spread[row] * rng.standard_normal(shape)
    )
    slack = rng.uniform(config.deadline_slack_low, config.deadline_slack_high, shape)
    predicted = TaskProfile(
        local_s=local_s,
        edge_s=edge_s,
        input_bytes=input_bytes,
        output_bytes=table.output_bytes[row],
        deadline_s=slack * local_s,
    )
    true = TaskProfile(
        local_s=local_s * np.exp(shared + SIDE_SPREAD * rng.standard_normal(shape)),
        edge_s=edge_s * np.exp(shared + SIDE_SPREAD * rng.standard_normal(shape)),
        input_bytes=input_bytes,
        output_bytes=table.output_bytes[row]
        * np.exp(table.output_spread[row] * rng.standard_normal(shape)),
        deadline_s=predicted.deadline_s,
    )
    return WorkloadSamples(row, gap_s, true, predicted)
