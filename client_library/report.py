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
            f"{self.policy} placed it {where} (predicted: {float(there.seconds):.3f} s and "
            f"{float(there.energy_j):.2f} J at the edge, {float(here.seconds):.3f} s and "
            f"{float(here.energy_j):.2f} J here)"
        )
        if self.is_first:
            story = "the first of its kind, placed on the device to be measured"
        if self.reason:
            story += f"; {self.reason}"
        ended = f"done by the {self.site}" if self.ok else "failed"
        return f"{story}; {ended} after {self.seconds:.3f} s"
