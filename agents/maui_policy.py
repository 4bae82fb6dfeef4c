"""MAUI as a policy: the optimum of one decision on what it is given to know."""

from __future__ import annotations

from offload.oracle import maui_placement
from offload.types import DecisionContext, IntArray, Objective


class MauiPolicy:
    """``maui-measured`` on the device's estimates, ``maui-true`` on the true state.

    Args:
        objective: what it minimises.
        sees_truth: which of the two it is.
    """

    def __init__(self, objective: Objective, *, sees_truth: bool) -> None:
        self.objective = objective
        self.sees_truth = sees_truth
        self.name = "maui-true" if sees_truth else "maui-measured"

    def decide(self, context: DecisionContext) -> IntArray:
        """See :class:`offload.interfaces.Policy`."""
        return maui_placement(context, self.objective)
