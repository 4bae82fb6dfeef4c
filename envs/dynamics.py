"""The one core of the environment: what decisions change, for any number of lanes at once.

State that couples the decisions of an episode: the device's queue, its battery, what is left of
the radio's tail, and the last edge queueing the device has seen. All adapters (gymnasium.Env, SB3's
VecEnv, evaluation) drive this class.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from envs.config import EnvConfig
from envs.scenario import Scenario
from offload.cost_model import budget_of, choice_costs, edge_budget_s
from offload.energy_model import BATTERY_J, CPU_BUSY_W, IDLE_W, radio_batch
from offload.features import encode
from offload.oracle import placement_at
from offload.types import (
    NEVER_S,
    DecisionContext,
    DeviceState,
    EdgeState,
    FloatArray,
    IntArray,
    LastRun,
    LinkState,
    TaskProfile,
    Transfer,
)

BoolArray: TypeAlias = NDArray[np.bool_]

_LEAST_S = 1e-9


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one decision a lane came to; every array has shape (lanes,).

    Attributes:
        cost: objective's cost of the placement chosen, fallback counted in, at most the cap;
            always-local is 1.
        local_cost, edge_cost: cost either placement would have had, at most the cap.
        optimum: MAUI's placement on the true state (0 local, 1 edge).
        seconds, energy_j: of the placement chosen.
        missed: completed after the deadline.
        fell_back: sent to the edge, given up, and run on the device.
    """

    cost: FloatArray
    local_cost: FloatArray
    edge_cost: FloatArray
    optimum: IntArray
    seconds: FloatArray
    energy_j: FloatArray
    missed: FloatArray
    fell_back: FloatArray

    @property
    def regret(self) -> FloatArray:
        """Cost above the better of the two placements at this state."""
        return self.cost - np.minimum(self.local_cost, self.edge_cost)


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """What a remote run tells the device once it is back; every array has shape (lanes,).

    Attributes:
        queue_s: the queueing it met at the edge.
        upload, download: ln(seconds / predicted seconds) of its transfers.
        age_s: time since it was decided on.
    """

    queue_s: FloatArray
    upload: FloatArray
    download: FloatArray
    age_s: FloatArray

    def older(self, gap_s: FloatArray) -> RemoteRun:
        """The same, so much later."""
        return replace(self, age_s=np.minimum(self.age_s + gap_s, NEVER_S))


class OffloadDynamics:
    """Plays one scenario.

    Args:
        scenario: what the decisions cannot change.
        config: the objective, the cap on a decision's cost, the congestion control, and which
            couplings are switched off. The rest of it went into the scenario.
    """

    def __init__(self, scenario: Scenario, config: EnvConfig) -> None:
        self.scenario = scenario
        self.objective = config.objective
        self.congestion_control = config.congestion_control
        self.cost_cap = config.cost_cap
        lanes = scenario.lanes
        self.step_index = 0
        self.queue_s = np.zeros(lanes)
        self.battery = scenario.battery.copy()
        self.tail_left_s = np.zeros(lanes)
        self.fallback_work_s = np.zeros(lanes)
        self.fallback_in_s = np.zeros(lanes)
        nothing = np.zeros(lanes)
        self.last_run = RemoteRun(nothing, nothing, nothing, np.full(lanes, NEVER_S))
        self.in_flight = RemoteRun(nothing, nothing, nothing, nothing)
        self.in_flight_s = np.full(lanes, np.inf)
        self._radio = radio_batch(scenario.links.radio)
        self._queues = "local_queue" not in config.without
        self._tail_lasts = "radio_tail" not in config.without
        self._battery_drains = "battery" not in config.without

    @property
    def done(self) -> bool:
        """True once every task of the episode has been placed."""
        return self.step_index >= self.scenario.steps

    def measured_context(self) -> DecisionContext:
        """What the device knows at this decision, a batch of shape (lanes,)."""
        step = self.step_index
        return self._context(
            _row(self.scenario.links.measured, step),
            _row(self.scenario.work.predicted, step),
            self._believed_edge(),
            _row(self.scenario.predicted_moved, step),
        )

    def true_context(self) -> DecisionContext:
        """The state as it really is at this decision, a batch of shape (lanes,)."""
        step = self.step_index
        return self._context(
            _row(self.scenario.links.true, step),
            _row(self.scenario.work.true, step),
            EdgeState(self.scenario.edge.queue_s[step], np.zeros(self.scenario.lanes)),
            _row(self.scenario.true_moved, step),
        )

    def _believed_edge(self) -> EdgeState:
        """The newer of two sources: the last probe, and the last remote run that came back."""
        probe_age_s = self.scenario.links.measured.age_s[self.step_index]
        probed_s = self.scenario.edge.probed_queue_s[self.step_index]
        run_is_newer = self.last_run.age_s < probe_age_s
        return EdgeState(
            queue_s=np.where(run_is_newer, self.last_run.queue_s, probed_s),
            age_s=np.minimum(self.last_run.age_s, probe_age_s),
        )

    def _context(
        self, link: LinkState, task: TaskProfile, edge: EdgeState, moved: Transfer
    ) -> DecisionContext:
        device = DeviceState(
            queue_s=self.queue_s,
            battery=self.battery,
            radio=self._radio,
            radio_tail_left_s=self.tail_left_s,
            cpu_w=CPU_BUSY_W,
            idle_w=IDLE_W,
        )
        return DecisionContext(
            link=link,
            task=task,
            device=device,
            edge=edge,
            reference_s=self.scenario.reference_queue_s[self.step_index] + task.local_s,
            reference_j=CPU_BUSY_W * task.local_s,
            congestion_control=self.congestion_control,
            moved=moved,
            history=_row(self.scenario.history, self.step_index),
            last_run=LastRun(self.last_run.upload, self.last_run.download, self.last_run.age_s),
        )

    def observation(self) -> FloatArray:
        """What a learned policy sees: shape (lanes, N_FEATURES), float32, a fresh array."""
        return encode(self.measured_context(), self.objective)

    def step(self, placement: IntArray | None) -> StepResult:
        """Place the current task of every lane and move on to the next.

        Args:
            placement: 0 local or 1 edge, shape (lanes,); None: MAUI's, on the true state.
        """
        true = self.true_context()
        # The engine sets its budget by what the device knows, before the truth shows.
        believed = _row(self.scenario.work.predicted, self.step_index)
        budget_s = budget_of(believed, self.queue_s)
        costs = choice_costs(true, self.objective, budget_s=budget_s)
        optimum = placement_at(costs, edge_budget_s(true))
        to_edge: BoolArray = np.asarray(optimum if placement is None else placement) == 1

        edge = costs.edge_realised
        seconds = _choose(to_edge, edge.seconds, costs.local.seconds)
        energy_j = _choose(to_edge, edge.energy_j, costs.local.energy_j)
        fell_back = to_edge & edge.fell_back
        local_cost = np.minimum(costs.local_objective, self.cost_cap)
        edge_cost = np.minimum(costs.edge_objective, self.cost_cap)
        result = StepResult(
            cost=_choose(to_edge, edge_cost, local_cost),
            local_cost=local_cost,
            edge_cost=edge_cost,
            optimum=optimum,
            seconds=seconds,
            energy_j=energy_j,
            missed=(seconds > true.task.deadline_s).astype(float),
            fell_back=fell_back.astype(float),
        )

        met = RemoteRun(true.edge.queue_s, *self._surprise(), np.zeros(self.scenario.lanes))
        self.step_index += 1
        gap_s = (
            np.zeros(self.scenario.lanes)
            if self.done
            else self.scenario.work.gap_s[self.step_index]
        )
        local_s = true.task.local_s
        if self._queues:
            self.queue_s = self.queue_s + np.where(to_edge, 0.0, local_s)
            self._schedule_fallback(fell_back, budget_s, local_s)
            self._drain_queue(gap_s)
        if self._tail_lasts:
            self._wind_down_radio(to_edge, np.minimum(costs.edge.seconds, budget_s), gap_s)
        if self._battery_drains:
            drawn_j = energy_j + IDLE_W * gap_s
            self.battery = np.maximum(self.battery - drawn_j / BATTERY_J, 0.0)
        comes_back_s = np.where(to_edge & ~fell_back, costs.edge.seconds, np.inf)
        self._remember(comes_back_s, met, gap_s)
        return result

    def _schedule_fallback(
        self, fell_back: BoolArray, budget_s: FloatArray, local_s: FloatArray
    ) -> None:
        """A remote run given up becomes local work when its budget is spent, not before."""
        work_s = np.where(fell_back, local_s, 0.0)
        waits = np.where(fell_back, np.maximum(budget_s, self.fallback_in_s), self.fallback_in_s)
        self.fallback_work_s = self.fallback_work_s + work_s
        self.fallback_in_s = waits

    def _drain_queue(self, gap_s: FloatArray) -> None:
        """Let the device work for ``gap_s``, starting what fell back when its time has come."""
        due = (self.fallback_in_s <= gap_s) & (self.fallback_work_s > 0)
        with_fallback = np.maximum(self.queue_s, self.fallback_in_s) + self.fallback_work_s
        self.queue_s = np.maximum(np.where(due, with_fallback, self.queue_s) - gap_s, 0.0)
        self.fallback_work_s = np.where(due, 0.0, self.fallback_work_s)
        self.fallback_in_s = np.where(due, 0.0, np.maximum(self.fallback_in_s - gap_s, 0.0))

    def _wind_down_radio(self, to_edge: BoolArray, in_use_s: FloatArray, gap_s: FloatArray) -> None:
        """How long the radio stays awake when the next task arrives: its transfers and a tail."""
        sleeps_in_s = np.where(to_edge, in_use_s + self._radio.tail_s, 0.0)
        self.tail_left_s = np.maximum(np.maximum(self.tail_left_s, sleeps_in_s) - gap_s, 0.0)

    def _surprise(self) -> tuple[FloatArray, FloatArray]:
        """ln(seconds / predicted seconds) of both transfers of a remote run at this step."""
        true = _row(self.scenario.true_moved, self.step_index)
        predicted = _row(self.scenario.predicted_moved, self.step_index)
        # A live run that was given up has no download; it never comes back to tell.
        download_s = np.maximum(true.download_s, _LEAST_S)
        return (
            np.log(true.upload_s / predicted.upload_s),
            np.log(download_s / predicted.download_s),
        )

    def _remember(self, comes_back_s: FloatArray, met: RemoteRun, gap_s: FloatArray) -> None:
        """A remote run says what it met, but not before it is back.

        Of several in flight the one that is back first is kept: the others met an older edge, or
        come back later.
        """
        sooner = comes_back_s < self.in_flight_s
        in_flight = _either(sooner, met, self.in_flight).older(gap_s)
        self.in_flight_s = np.where(sooner, comes_back_s, self.in_flight_s) - gap_s
        back = self.in_flight_s <= 0.0
        self.last_run = _either(back, in_flight, self.last_run.older(gap_s))
        self.in_flight = in_flight
        self.in_flight_s = np.where(back, np.inf, self.in_flight_s)


def _either(condition: BoolArray, if_true: RemoteRun, if_false: RemoteRun) -> RemoteRun:
    names = RemoteRun.__slots__
    return RemoteRun(
        *(np.where(condition, getattr(if_true, n), getattr(if_false, n)) for n in names)
    )


def _choose(to_edge: BoolArray, edge: FloatArray, local: FloatArray) -> FloatArray:
    """Each lane's value of the placement it chose."""
    chosen: FloatArray = np.where(to_edge, edge, local)
    return chosen


def _row(part: Any, step: int) -> Any:
    """One time step of a dataclass of (steps, lanes) arrays."""
    return type(part)(*(getattr(part, name)[step] for name in part.__slots__))
