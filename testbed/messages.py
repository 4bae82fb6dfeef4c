"""What the testbed and its device process say to each other: JSON, one message a line."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from offload.types import EdgeState, LinkState, PlacementCost, TaskInstance


class WarmUp(msgspec.Struct, frozen=True, tag=True):
    """Load these kinds' models on both sides and time one small run of each; answer: Warm."""

    kinds: tuple[str, ...]


class Measure(msgspec.Struct, frozen=True, tag=True):
    """Probe the link; answer: Measured."""


class Execute(msgspec.Struct, frozen=True, tag=True):
    """Run a task on one side; answer: Executed."""

    task: TaskInstance
    on_edge: bool
    budget_s: float


class SlowDown(msgspec.Struct, frozen=True, tag=True):
    """Make the device's CPU so many times slower than a full core; answer: Slowed."""

    slowdown: float


Order: TypeAlias = WarmUp | Measure | Execute | SlowDown


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The device process stands; how its CPU is slowed down."""

    limit_method: str
    limit_reason: str


class Timing(msgspec.Struct, frozen=True):
    """Seconds of one kind's small run on both sides."""

    kind: str
    local_s: float
    edge_s: float


class Warm(msgspec.Struct, frozen=True, tag=True):
    """Everything is loaded."""

    timings: tuple[Timing, ...]


class Measured(msgspec.Struct, frozen=True, tag=True):
    """The newest estimate of the link and the edge, and what the probes have cost so far."""

    link: LinkState
    edge: EdgeState
    probe_bytes: int
    congestion_control: str


class Executed(msgspec.Struct, frozen=True, tag=True):
    """What came of a run; ``cost`` is None when the task was not done within its budget."""

    cost: PlacementCost | None
    correct: bool
    input_bytes: int
    output_bytes: int
    detail: str


class Slowed(msgspec.Struct, frozen=True, tag=True):
    """How the device's CPU is slowed down now."""

    limit_method: str
    limit_reason: str


class Broken(msgspec.Struct, frozen=True, tag=True):
    """The order could not be carried out."""

    error: str


Answer: TypeAlias = Ready | Warm | Measured | Executed | Slowed | Broken
