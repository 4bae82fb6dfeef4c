"""An episode's whole future as arrays: what the optimum in hindsight is found from.

What a remote run takes depends on no decision, so its seconds and joules are computed ahead, by the
cost model. Left to the search is what decisions couple: when the device's queue and the radio's
tail end, the battery's charge, and work that fell back and waits for its turn.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import Scenario
from offload.cost_model import edge_cost, local_cost
from offload.energy_model import IDLE_W, radio_batch
from offload.types import FloatArray, IntArray, Objective, RadioPower

QUEUE_END, TAIL_END, CHARGE, WAITING, DUE = range(5)
"""What couples decisions: when the queue and the radio's tail end (0: they have), the battery's
charge, seconds of work that fell back and waits, and when it joins the queue (both 0: none)."""

_KEPT = {"local_queue": (QUEUE_END, WAITING, DUE), "radio_tail": (TAIL_END,), "battery": (CHARGE,)}
"""What stays as it was at the start where a coupling is switched off."""


@dataclass(frozen=True, slots=True)
class StepAmounts:
    """One task of each lane, or of each label once taken by lane; every array has the same length.

    Attributes:
        at_s, next_at_s: when the task arrives and when the next one does, from the first on.
        local_s, local_j: on the device, its queue left out.
        edge_s: a remote run that is let finish.
        edge_j: its energy, without the radio's waking and tail.
        room_s: deadline less the local seconds the device predicts: the least budget; at most
            ``edge_s``, beyond which it makes no difference.
        predicted_s: those predicted seconds; the budget is at least the queue and these.
        reference_s, reference_j: units of the cost.
        idle_j: what the device draws until the next task arrives.
        tail_rank: place of this remote run's tail among those of the episode, by their end.
    """

    at_s: FloatArray
    next_at_s: FloatArray
    local_s: FloatArray
    local_j: FloatArray
    edge_s: FloatArray
    edge_j: FloatArray
    room_s: FloatArray
    predicted_s: FloatArray
    reference_s: FloatArray
    reference_j: FloatArray
    idle_j: FloatArray
    tail_rank: IntArray

    def of(self, lane: IntArray) -> StepAmounts:
        """The amounts of those lanes, in that order."""
        return StepAmounts(*(getattr(self, f.name)[lane] for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Problem:
    """A block of episodes.

    Attributes:
        steps: amounts of each step, arrays of shape (lanes,).
        tail_ends_s: when the tail of each remote run would end, ascending, after a 0 for a radio
            asleep; shape (lanes, steps + 1).
        battery: charge at the start, shape (lanes,).
        radio: fields of shape (lanes,).
        objective, cost_cap: as in EnvConfig.
        kept: those of QUEUE_END to DUE that no decision changes, by the world's switches.
    """

    steps: tuple[StepAmounts, ...]
    tail_ends_s: FloatArray
    battery: FloatArray
    radio: RadioPower
    objective: Objective
    cost_cap: float
    kept: tuple[int, ...]

    @property
    def lanes(self) -> int:
        """Episodes side by side."""
        return len(self.battery)

    def of(self, lanes: IntArray) -> Problem:
        """Some of the episodes."""
        return Problem(
            steps=tuple(step.of(lanes) for step in self.steps),
            tail_ends_s=self.tail_ends_s[lanes],
            battery=self.battery[lanes],
            radio=radio_of(self.radio, lanes),
            objective=self.objective,
            cost_cap=self.cost_cap,
            kept=self.kept,
        )


def radio_of(radio: RadioPower, lane: IntArray) -> RadioPower:
    """The radios of those lanes, in that order."""
    return RadioPower(*(getattr(radio, f.name)[lane] for f in fields(radio)))


def pose(scenario: Scenario, config: EnvConfig) -> Problem:
    """Write a scenario down as a problem."""
    dynamics = OffloadDynamics(scenario, config)  # never stepped: queue 0, radio asleep
    radio = radio_batch(scenario.links.radio)
    kept = tuple(row for name in config.without for row in _KEPT.get(name, ()))
    gap_s = scenario.work.gap_s
    at_s = np.cumsum(gap_s, axis=0) - gap_s[0]
    raw = []
    for step in range(scenario.steps):
        dynamics.step_index = step
        true, believed = dynamics.true_context(), dynamics.measured_context().task
        local, edge = local_cost(true), edge_cost(true)
        ends_s = at_s[step] + edge.seconds + radio.tail_s
        if TAIL_END in kept:
            ends_s = np.zeros(scenario.lanes)
        raw.append((true, believed, local, edge, ends_s))
    ends_s = np.stack([entry[-1] for entry in raw], axis=1)
    order = np.argsort(ends_s, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(1, scenario.steps + 1)[None, :], axis=1)
    steps = []
    for index, (true, believed, local, edge, _) in enumerate(raw):
        next_at_s = at_s[min(index + 1, scenario.steps - 1)]
        steps.append(
            StepAmounts(
                at_s=at_s[index],
                next_at_s=next_at_s,
                local_s=local.compute_s,
                local_j=local.energy_j,
                edge_s=edge.seconds,
                edge_j=edge.cpu_j + edge.radio_j,
                room_s=np.minimum(believed.deadline_s - believed.local_s, edge.seconds),
                predicted_s=believed.local_s,
                reference_s=true.reference_s,
                reference_j=true.reference_j,
                idle_j=IDLE_W * (next_at_s - at_s[index]),
                tail_rank=rank[:, index],
            )
        )
    asleep = np.zeros((scenario.lanes, 1))
    return Problem(
        steps=tuple(steps),
        tail_ends_s=np.concatenate([asleep, np.sort(ends_s, axis=1)], axis=1),
        battery=scenario.battery,
        radio=radio,
        objective=config.objective,
        cost_cap=config.cost_cap,
        kept=kept,
    )
