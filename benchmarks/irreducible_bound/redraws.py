"""Drawing anew what cannot be known at a decision, all else being given away.

Drawn anew always: the task's seconds, and how far each transfer is from the model's seconds. Given
away always: bytes, deadline, queue, battery. Of link and edge there are three versions:

- both are given away as they are at the decision, and what the link does during the transfers;
- the link is, but the edge as it was when last known, and drawn on from there;
- both as they were when last known.

"As it was" means exactly, without the noise of measurement, and with all that is hidden of it. It
was last known at the last probe, or when the last remote run was decided on if that was later: such
a run says what it met, and the radio's tail shows it even before it is back. The processes are
Markov, so whatever else a device remembers says nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator, SeedSequence

from benchmarks.irreducible_bound.kept import KeptEdges, KeptLinks, KeptProfiles
from envs.config import EnvConfig
from envs.edge_process import edge_queue_later
from envs.probe_times import ProbeTimes
from envs.workload import SIDE_SPREAD
from offload.errors import ConfigError
from offload.transfer_spread import transfer_factor
from offload.types import DecisionContext, EdgeState, FloatArray, IntArray, LinkState, Transfer


@dataclass(frozen=True, slots=True)
class Given:
    """What is given away as it is at the decision; the rest as it was when last known."""

    link: bool
    edge: bool

    @property
    def words(self) -> str:
        """For tables."""
        if self.link and self.edge:
            return "link and edge of the decision"
        return "link of the decision, edge last known" if self.link else "link and edge last known"


@dataclass(frozen=True, slots=True)
class LastKnown:
    """When link and edge were last known, shape (lanes,).

    Attributes:
        row: of ``ProbeTimes.gap_s``: 2k is the probe before decision k, 2k + 1 that decision.
        age_s: time since then.
    """

    row: IntArray
    age_s: FloatArray


def last_known(probes: ProbeTimes, step: int, last_run: IntArray) -> LastKnown:
    """The later of the last probe and the last remote run.

    Args:
        last_run: step at which that run was decided on, shape (lanes,); -1: there was none.
    """
    row = np.maximum(2 * probes.newest[step], 2 * last_run + 1)
    rows = np.arange(len(probes.gap_s))[:, None]
    since = (rows > row) & (rows <= 2 * step + 1)
    return LastKnown(row, np.where(since, probes.gap_s, 0.0).sum(axis=0))


class Redraw:
    """Draws decisions anew, over and over; each source of chance has a stream of its own.

    Versions that are made with the same seed so differ by what they give away, not by luck.

    Raises:
        ConfigError: measured links are to be drawn anew; there is no process to draw them from.
    """

    def __init__(
        self, given: Given, links: KeptLinks, edges: KeptEdges, config: EnvConfig, seed: int
    ) -> None:
        if not given.link and not isinstance(links, KeptProfiles):
            raise ConfigError(
                "measured links cannot be drawn anew: give them away as they are at the decision"
            )
        self._given, self._links, self._edges, self._config = given, links, edges, config
        streams = (np.random.default_rng(s) for s in SeedSequence(seed).spawn(4))
        self._tasks, self._luck, self._edge_rng, self._link_rng = streams

    def draw(
        self, step: int, known: LastKnown, true: DecisionContext, spread: FloatArray
    ) -> DecisionContext:
        """One more context that maui-true might have met at this decision.

        Args:
            true: the one that it did meet, with the seconds that the device expects of the task.
            spread: of the task's seconds, see :mod:`envs.workload`, shape (lanes,).
        """
        context = self._task(true, spread)
        queue_s = true.edge.queue_s
        if not self._given.edge:
            queue_s = edge_queue_later(
                self._edge_rng, self._config.edge, self._edges.motion, known.row, known.age_s
            )
        link, model = self._transfers(step, known, context, queue_s)
        return replace(
            context,
            link=link,
            edge=EdgeState(queue_s, true.edge.age_s),
            moved=with_luck(self._luck, model, link.loss, self._config),
        )

    def _task(self, true: DecisionContext, spread: FloatArray) -> DecisionContext:
        rng = self._tasks
        shared = spread * rng.standard_normal(spread.shape)
        local_s, edge_s = (
            expected_s * np.exp(shared + SIDE_SPREAD * rng.standard_normal(spread.shape))
            for expected_s in (true.task.local_s, true.task.edge_s)
        )
        return replace(
            true,
            task=replace(true.task, local_s=local_s, edge_s=edge_s),
            reference_s=true.reference_s + local_s - true.task.local_s,
            reference_j=true.device.cpu_w * local_s,
        )

    def _transfers(
        self, step: int, known: LastKnown, context: DecisionContext, queue_s: FloatArray
    ) -> tuple[LinkState, Transfer]:
        links = self._links
        if not self._given.link and isinstance(links, KeptProfiles):
            return links.later(self._link_rng, known.row, known.age_s, context.task, queue_s)
        return links.now(step, context.task, queue_s)


def with_luck(rng: Generator, model: Transfer, loss: FloatArray, config: EnvConfig) -> Transfer:
    """The seconds that transfers come to which would take ``model`` by the link model."""
    up, down = (
        transfer_factor(rng.random(loss.shape), loss, config.congestion_control)
        ** config.link.transfer_spread
        for _ in range(2)
    )
    return Transfer(model.upload_s * up, model.download_s * down)
