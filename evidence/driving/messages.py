"""What is said to the device that a policy drives, besides the testbed's own messages."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from offload.types import LinkState, Objective, Outcome, PlacementCost, TaskInstance, TaskProfile
from testbed.messages import Broken, Execute, Measure, SlowDown, WarmUp


class Arrival(msgspec.Struct, frozen=True):
    """A task that arrives.

    Attributes:
        due_s: when, counted from the drive's start.
        predicted: what the device expects of it; the bytes of its input are exact.
        reference_s: what it would take a device that runs everything itself, its queue included,
            as predicted.
    """

    task: TaskInstance
    due_s: float
    predicted: TaskProfile
    reference_s: float


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """Make these tasks' inputs and a policy ready; answer: Prepared.

    Attributes:
        policy: the one that is to drive.
        asked: what was asked for; a name among them may stand for several trained policies.
        runs: folders that were named for learned policies.
        runs_root: where to look for the newest run otherwise.
    """

    tasks: tuple[TaskInstance, ...]
    policy: str
    asked: tuple[str, ...]
    objective: Objective
    runs: tuple[str, ...]
    runs_root: str
    seed: int


class Drive(msgspec.Struct, frozen=True, tag=True):
    """Let the policy place the tasks as they arrive; answer: DriveOver.

    Attributes:
        start_s: the drive's start, on the machine's monotonic clock.
        radio: name of the device's radio.
        battery: its charge, 0 to 1; it stays so, for a drive drains less than a thousandth of it.
    """

    start_s: float
    arrivals: tuple[Arrival, ...]
    radio: str
    battery: float


DriveOrder: TypeAlias = WarmUp | Measure | Execute | SlowDown | Prepare | Drive


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """Bytes of each task's input, and where a learned policy came from (else empty)."""

    input_bytes: tuple[int, ...]
    source: str


class Driven(msgspec.Struct, frozen=True):
    """How one task went. Moments are counted from the drive's start.

    Attributes:
        called_s: when the engine was called.
        decided_s: when it had decided.
        done_s: when the outcome stood.
        to_edge: the policy placed it on the edge.
        cost: measured seconds, term by term; after a fallback ``queue_s`` holds ``lost_s`` too.
        lost_s: time spent on an edge attempt that brought nothing.
        budget_s: what the edge attempt was given.
        output_bytes: of the answer.
        reason: why, where the outcome is no plain success.
        link: what the device believed of the link when it decided.
        queue_s: what it believed of its own queue.
        edge_queue_s, edge_age_s: what it believed of the edge's.
    """

    called_s: float
    decided_s: float
    done_s: float
    to_edge: bool
    outcome: Outcome
    cost: PlacementCost
    lost_s: float
    budget_s: float
    output_bytes: int
    reason: str
    link: LinkState
    queue_s: float
    edge_queue_s: float
    edge_age_s: float


class DriveOver(msgspec.Struct, frozen=True, tag=True):
    """Every task has ended.

    Attributes:
        tasks: in the order of their arrival.
        wrong: indices of those whose answers were wrong.
        probe_bytes: what probing cost, both ways.
        resets: connections dropped with an upload still under way.
        congestion_control: of the connections, as the kernel had it.
    """

    tasks: tuple[Driven, ...]
    wrong: tuple[int, ...]
    probe_bytes: int
    resets: int
    congestion_control: str


DriveAnswer: TypeAlias = Prepared | DriveOver | Broken
