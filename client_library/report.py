"""What became of one task, and why."""

from __future__ import annotations

from dataclasses import dataclass

from offload.types import Outcome, Placement, PlacementCost


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One task as it ended. Seconds are measured or predicted; joules are always modelled.

    Attributes:
        output: the encoded answer; empty when it failed.
        outcome: its one terminal state.
        site: where the answer comes from: ``"edge"`` or ``"device"``; empty when it failed.
        seconds: from the call to the end.
        deadline_met: it ended well and in time.
        measured: of the run that gave the answer, term by term; after a fallback ``queue_s`` holds
            the time lost on the edge, whose joules are not counted.
        predicted_device, predicted_edge: what the decision expected of each side.
        placed: where the policy wanted it.
        policy: who placed it.
        decision_s: what that took.
        reason: why it did not go as placed, or failed; else empty.
        is_first: nothing was known of its kind, so it was placed on the device to be measured, and
            the predicted seconds mean nothing.
    """

    output: bytes
    outcome: Outcome
    site: str
    seconds: float
    deadline_met: bool
    measured: PlacementCost
    predicted_device: PlacementCost
    predicted_edge: PlacementCost
    placed: Placement
    policy: str
    decision_s: float
    reason: str
    is_first: bool

    @property
    def ok(self) -> bool:
        """There is an answer."""
        return self.outcome.ok

    @property
    def why(self) -> str:
        """The whole story in a sentence, for people."""
        where = "at the edge" if self.placed is Placement.EDGE else "on the device"
        here, there = self.predicted_device, self.predicted_edge
        story = (
            f"{self.policy} placed it {where} (predicted: {_told(there)} at the edge, "
            f"{_told(here)} here)"
        )
        if self.is_first:
            story = "the first of its kind, placed on the device to be measured"
        if self.reason:
            story += f"; {self.reason}"
        ended = f"done by the {self.site}" if self.ok else "failed"
        return f"{story}; {ended} after {_quantity(self.seconds, 's')}"


def _told(cost: PlacementCost) -> str:
    return f"{_quantity(float(cost.seconds), 's')} and {_quantity(float(cost.energy_j), 'J')}"


def _quantity(value: float, unit: str) -> str:
    """Three digits, in the unit or the thousandth or millionth of it that suits the value."""
    if value == 0:
        return f"0 {unit}"
    scales = ((1.0, ""), (1e3, "m"), (1e6, "µ"))
    factor, prefix = next((s for s in scales if value * s[0] >= 0.9995), scales[-1])
    scaled = value * factor
    decimals = 0 if scaled >= 99.95 else 1 if scaled >= 9.995 else 2
    return f"{scaled:.{decimals}f} {prefix}{unit}"
