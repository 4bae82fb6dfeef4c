"""When the device measured its link and the edge: a probe in between the decisions.

Probes are a Poisson process, so the time back to the last one is exponential whatever the moment
of a decision. Decisions between two probes share the first of them: the same measurement, older.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from offload.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class ProbeTimes:
    """The last probe before each decision.

    Attributes:
        age_s: time since the last probe, shape (steps, lanes).
        gap_s: time since the row before, shape (2 * steps, lanes). Row 2k + 1 is decision k, row 2k
            the last probe since decision k - 1; without one, it is decision k - 1 itself.
        newest: of each decision, the k of the last probe, shape (steps, lanes).
    """

    age_s: FloatArray
    gap_s: FloatArray
    newest: IntArray

    def at_last_probe(self, at_probes: FloatArray) -> FloatArray:
        """What was at the last probe before each decision.

        Args:
            at_probes: the rows 2k of a path over ``gap_s``, shape (steps, lanes).
        """
        held: FloatArray = np.take_along_axis(at_probes, self.newest, axis=0)
        return held


def draw_probe_times(rng: Generator, gap_s: FloatArray, every_s: float) -> ProbeTimes:
    """Draw the last probe before each decision.

    Args:
        gap_s: time since the decision before, shape (steps, lanes); the first row is not used: the
            device has probed before its first decision too.
        every_s: mean time between probes; 0: a probe at each decision.
    """
    steps, lanes = gap_s.shape
    back_s = rng.exponential(every_s, (steps, lanes))
    is_new = back_s <= gap_s
    is_new[0] = True
    newest = np.maximum.accumulate(np.where(is_new, np.arange(steps)[:, None], 0), axis=0)
    now_s = np.cumsum(gap_s, axis=0)
    age_s = np.take_along_axis(back_s - now_s, newest, axis=0) + now_s

    between_s = np.empty((2 * steps, lanes))
    between_s[1::2] = np.where(is_new, back_s, gap_s)
    between_s[0::2] = np.where(is_new, gap_s - back_s, 0.0)
    between_s[0] = 0.0
    return ProbeTimes(age_s, between_s, newest)
