"""Policies that do not look: always local, always edge, random."""

from __future__ import annotations

import numpy as np

from offload.types import DecisionContext, IntArray, Placement


class FixedPolicy:
    """Answers the same whatever the context."""

    sees_truth = False

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.name = f"always-{placement.name.lower()}"

    def decide(self, context: DecisionContext) -> IntArray:
        """See :class:`offload.interfaces.Policy`."""
        return np.full(np.shape(context.task.local_s), int(self.placement), dtype=np.int8)


class RandomPolicy:
    """Tosses a fair coin.

    Args:
        seed: seed of the coin.
    """

    name = "random"
    sees_truth = False

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def decide(self, context: DecisionContext) -> IntArray:
        """See :class:`offload.interfaces.Policy`."""
        return self._rng.integers(2, size=np.shape(context.task.local_s), dtype=np.int8)
