"""The types at the borders between the packages.

Every numeric field of the measured types may hold one number or a NumPy array; a
:class:`DecisionContext` of arrays is a batch of contexts, and every function of the model works on
both. Units stand in the names: seconds, bits per second, bytes, joules, watts. ``loss`` and
``battery`` are fractions from 0 to 1.

Two types that must never be one: :class:`LinkProfile` is what an emulator is told to *set*;
:class:`LinkState` is what was *measured*, with its age.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.integer[Any]]
Quantity: TypeAlias = Any
"""A float, or a float array: one value or one a row of a batch."""


class Placement(IntEnum):
    """Where a task runs. The numbers are the actions of the environment."""

    LOCAL = 0
    EDGE = 1


class Objective(StrEnum):
    """What a decision minimises; see :mod:`offload.objective` for the weights."""

    LATENCY = "latency"
    ENERGY = "energy"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class DirectionProfile:
    """One direction of a link, as set.

    Attributes:
        rate_bps: rate in bit/s; None: not limited.
        delay_s: one-way delay.
        jitter_s: standard deviation of the one-way delay (normal).
        loss_enter: Gilbert-Elliott: chance a packet that the link enters its losing state.
        loss_leave: Gilbert-Elliott: chance a packet that it leaves that state.
        queue_s: length of the bottleneck's queue, as time at the full rate.
    """

    rate_bps: float | None
    delay_s: float
    jitter_s: float
    loss_enter: float
    loss_leave: float
    queue_s: float

    @property
    def loss(self) -> float:
        """Mean share of packets lost: p / (p + r)."""
        if self.loss_enter == 0.0:
            return 0.0
        return self.loss_enter / (self.loss_enter + self.loss_leave)


@dataclass(frozen=True, slots=True)
class LinkProfile:
    """What an emulated link is told to be, each direction its own.

    Attributes:
        name: the profile's name.
        uplink: from the device to the edge.
        downlink: from the edge to the device.
        radio: name of the radio in :data:`offload.energy_model.RADIOS` such a link has.
        source: where the figures come from.
    """

    name: str
    uplink: DirectionProfile
    downlink: DirectionProfile
    radio: str
    source: str


@dataclass(frozen=True, slots=True)
class LinkState:
    """What a device measured of its link, and how long ago.

    Attributes:
        rtt_s: round-trip time.
        jitter_s: standard deviation of the round-trip time.
        loss: share lost of the packets of one direction, both taken to be alike. (Of pings about
            twice as many go unanswered: they have two ways to go.)
        uplink_bps: rate from the device to the edge.
        downlink_bps: rate from the edge to the device.
        age_s: time since the measurement.
    """

    rtt_s: Quantity
    jitter_s: Quantity
    loss: Quantity
    uplink_bps: Quantity
    downlink_bps: Quantity
    age_s: Quantity = 0.0


@dataclass(frozen=True, slots=True)
class LinkHistory:
    """What a device remembers of its link besides the last probe; see :mod:`offload.link_memory`.

    All but ``probe_gap_s`` are natural logarithms, or differences of such; 0 where there is nothing
    to remember yet.

    Attributes:
        uplink_recent, downlink_recent, rtt_recent: geometric mean of the recent probes over the
            last one.
        uplink_mean, downlink_mean, rtt_mean: the same of all probes.
        uplink_spread, downlink_spread, rtt_spread: standard deviation over all probes.
        uplink_before, downlink_before, rtt_before: the last probe but one over the last.
        probe_gap_s: time between those two.
    """

    uplink_recent: Quantity = 0.0
    downlink_recent: Quantity = 0.0
    rtt_recent: Quantity = 0.0
    uplink_mean: Quantity = 0.0
    downlink_mean: Quantity = 0.0
    rtt_mean: Quantity = 0.0
    uplink_spread: Quantity = 0.0
    downlink_spread: Quantity = 0.0
    rtt_spread: Quantity = 0.0
    uplink_before: Quantity = 0.0
    downlink_before: Quantity = 0.0
    rtt_before: Quantity = 0.0
    probe_gap_s: Quantity = 0.0


NEVER_S = 1000.0
"""Age of what never was."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """How the transfers of the last remote run that came back compared with their prediction.

    Attributes:
        upload, download: ln(measured seconds / predicted seconds).
        age_s: time since that run was decided on; :data:`NEVER_S`: there was none.
    """

    upload: Quantity = 0.0
    download: Quantity = 0.0
    age_s: Quantity = NEVER_S


@dataclass(frozen=True, slots=True)
class TaskProfile:
    """What is known, or predicted, of one task before it runs.

    Attributes:
        local_s: seconds on the device's CPU.
        edge_s: seconds on an edge worker's CPU, queueing left out.
        input_bytes: bytes a remote run sends up.
        output_bytes: bytes a remote run sends back.
        deadline_s: latest completion, counted from the task's arrival.
    """

    local_s: Quantity
    edge_s: Quantity
    input_bytes: Quantity
    output_bytes: Quantity
    deadline_s: Quantity


@dataclass(frozen=True, slots=True)
class RadioPower:
    """Power model of a radio; see :mod:`offload.energy_model` for the sources.

    While transferring it draws ``base_w`` plus ``uplink_w_per_bps`` (or ``downlink_w_per_bps``)
    times the rate; afterwards ``tail_w`` for ``tail_s``; waking from idle costs
    ``promotion_w`` for ``promotion_s``.
    """

    uplink_w_per_bps: Quantity
    downlink_w_per_bps: Quantity
    uplink_base_w: Quantity
    downlink_base_w: Quantity
    tail_w: Quantity
    tail_s: Quantity
    promotion_w: Quantity
    promotion_s: Quantity


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The device at the moment of a decision.

    Attributes:
        queue_s: local work already waiting.
        battery: charge left, 0 to 1.
        radio: power model of the radio in use.
        radio_tail_left_s: time for which the radio still stays awake from its last transfer.
        cpu_w: extra power of the busy CPU.
        idle_w: power of the device while it waits.
    """

    queue_s: Quantity
    battery: Quantity
    radio: RadioPower
    radio_tail_left_s: Quantity
    cpu_w: Quantity
    idle_w: Quantity


@dataclass(frozen=True, slots=True)
class EdgeState:
    """What the device last saw of the edge server.

    Attributes:
        queue_s: queueing there, as a probe or the last remote run found it.
        age_s: time since then.
    """

    queue_s: Quantity
    age_s: Quantity


@dataclass(frozen=True, slots=True)
class Transfer:
    """Seconds to move a task's input up and its output down."""

    upload_s: Quantity
    download_s: Quantity


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """All that a policy may look at to place one task (or a batch of tasks).

    Attributes:
        reference_s: all-local seconds of this task, the unit of the time part of the cost.
        reference_j: all-local joules of this task, the unit of the energy part.
        congestion_control: TCP congestion control of the connection, for the link model.
        moved: seconds of the two transfers where they are known (measured, or predicted before);
            None: the link model predicts them from ``link``.
        history: what earlier probes said of the link.
        last_run: what the last remote run said of it.
    """

    link: LinkState
    task: TaskProfile
    device: DeviceState
    edge: EdgeState
    reference_s: Quantity
    reference_j: Quantity
    congestion_control: str = "cubic"
    moved: Transfer | None = None
    history: LinkHistory = LinkHistory()
    last_run: LastRun = LastRun()


@dataclass(frozen=True, slots=True)
class PlacementCost:
    """Seconds and joules of one placement, predicted or measured, term by term.

    ``radio_j`` is what the radio spends while it moves bits, ``tail_j`` what it spends to wake up
    and to stay awake afterwards.
    """

    upload_s: Quantity
    queue_s: Quantity
    compute_s: Quantity
    download_s: Quantity
    cpu_j: Quantity
    radio_j: Quantity
    tail_j: Quantity = 0.0

    @property
    def seconds(self) -> Quantity:
        """Completion time counted from the decision."""
        return self.upload_s + self.queue_s + self.compute_s + self.download_s

    @property
    def energy_j(self) -> Quantity:
        """Energy drawn from the device's battery."""
        return self.cpu_j + self.radio_j + self.tail_j


class Outcome(StrEnum):
    """The one terminal state of a task."""

    REMOTE_OK = "remote_ok"
    LOCAL_OK = "local_ok"
    FALLBACK_OK = "fallback_ok"
    """Sent to the edge, then finished on the device (timeout, BUSY or error)."""
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Ended without a result because the caller wanted none any more."""

    @property
    def ok(self) -> bool:
        """The task has a result."""
        return self not in (Outcome.FAILED, Outcome.CANCELLED)


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """One task to run: its kind, size and the seed its input is made from."""

    kind: str
    size: str
    seed: int


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """What came of running one task on one side.

    Attributes:
        output: the task's encoded answer; empty when it failed.
        cost: measured seconds, term by term; joules are filled in by the energy model.
        correct: the task's own check of the answer; None when it was not checked.
        detail: the reason, when the outcome is not a plain success.
    """

    outcome: Outcome
    output: bytes
    cost: PlacementCost
    correct: bool | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PairedRun:
    """One task instance that was run on both sides, measured.

    Attributes:
        link: what the device believed of the link when it would have had to decide.
        edge_seen: what it believed of the edge server.
        predicted: what it believed of the task.
        budget_s: longest wait for the edge.
        local: measured cost on the device.
        edge: measured cost at the edge; None: not back within the budget.
        correct: both answers were checked, and right (an edge run given up is not counted).
        detail: why there is no edge cost.
        trace_s: time in the replayed trace at which the edge run was asked for; None: the link
            kept to a profile.
        decided_s: when the device would have had to decide, on a clock that all runs share.
    """

    task: TaskInstance
    link: LinkState
    edge_seen: EdgeState
    predicted: TaskProfile
    budget_s: float
    local: PlacementCost
    edge: PlacementCost | None
    correct: bool
    detail: str = ""
    trace_s: float | None = None
    decided_s: float = 0.0
