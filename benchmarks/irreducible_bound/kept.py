"""Links and edges drawn as scenarios have them, of which all is kept that is hidden.

From what is kept, a decision's link, edge and transfers can be drawn anew. For the same generator
scenarios are those of :func:`envs.scenario.draw_scenario` without these.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Protocol

from numpy.random import Generator

from envs.config import EdgeProcessConfig, EnvConfig
from envs.edge_process import EdgeMotion, EdgeSamples, draw_edge_motion, edge_of_motion
from envs.link_motion import LinkMotion
from envs.link_process import (
    Calm,
    LinkSamples,
    draw_motion,
    links_later,
    moving_links,
    synthetic_transfer,
)
from envs.links import ExactTransfer
from envs.probe_times import ProbeTimes
from envs.trace_process import Replay, draw_replay, load_bank, replayed_transfer
from offload.types import FloatArray, IntArray, LinkState, TaskProfile, Transfer


class KeptEdges:
    """Edges, and what is hidden of them."""

    motion: EdgeMotion

    def __call__(
        self, rng: Generator, config: EdgeProcessConfig, probes: ProbeTimes
    ) -> EdgeSamples:
        """Draw a block of edges."""
        self.motion = draw_edge_motion(rng, config, probes.gap_s)
        return edge_of_motion(config, self.motion, probes)


class KeptLinks(Protocol):
    """Links, and what is hidden of them."""

    probes: ProbeTimes

    def __call__(
        self, rng: Generator, config: EnvConfig, probes: ProbeTimes
    ) -> tuple[LinkSamples, ExactTransfer]:
        """Draw a block of links."""
        ...

    def now(
        self, step: int, task: TaskProfile, edge_queue_s: FloatArray
    ) -> tuple[LinkState, Transfer]:
        """The links as they are at a decision, and what transfers take there by the model.

        Args:
            task, edge_queue_s: what a remote run takes, shape (lanes,).
        """
        ...


class KeptProfiles:
    """Profiles' links; see :class:`KeptLinks`."""

    probes: ProbeTimes

    def __call__(
        self, rng: Generator, config: EnvConfig, probes: ProbeTimes
    ) -> tuple[LinkSamples, ExactTransfer]:
        """Draw a block of links."""
        self.probes, self._config = probes, config
        self._motion: LinkMotion = draw_motion(rng, config.link, config.profiles, probes.gap_s)
        links, self._calm = moving_links(rng, config.link, self._motion, probes)
        self._true = links.true

        def exact(task: TaskProfile, edge_queue_s: FloatArray) -> Transfer:
            return self._moved(self._calm, links.true, task, edge_queue_s)

        return links, exact

    def now(
        self, step: int, task: TaskProfile, edge_queue_s: FloatArray
    ) -> tuple[LinkState, Transfer]:
        """See :class:`KeptLinks`."""
        link = _row(self._true, step)
        return link, self._moved(_row(self._calm, step), link, task, edge_queue_s)

    def later(
        self,
        rng: Generator,
        known_row: IntArray,
        after_s: FloatArray,
        task: TaskProfile,
        edge_queue_s: FloatArray,
    ) -> tuple[LinkState, Transfer]:
        """The same of links drawn anew: see :func:`envs.link_process.links_later`."""
        link, calm = links_later(rng, self._config.link, self._motion, known_row, after_s)
        return link, self._moved(calm, link, task, edge_queue_s)

    def _moved(
        self, calm: Calm, link: LinkState, task: TaskProfile, edge_queue_s: FloatArray
    ) -> Transfer:
        return synthetic_transfer(calm, link, task, edge_queue_s, self._config.congestion_control)


class KeptTraces:
    """Measured links; see :class:`KeptLinks`. They have no process to be drawn anew from."""

    probes: ProbeTimes

    def __call__(
        self, rng: Generator, config: EnvConfig, probes: ProbeTimes
    ) -> tuple[LinkSamples, ExactTransfer]:
        """Draw a block of links."""
        self.probes, self._control = probes, config.congestion_control
        bank = load_bank(config.traces, config.trace_base)
        links, self._replay = draw_replay(rng, config.link, bank, probes)
        self._true = links.true

        def exact(task: TaskProfile, edge_queue_s: FloatArray) -> Transfer:
            return self._moved(self._replay, links.true, task, edge_queue_s)

        return links, exact

    def now(
        self, step: int, task: TaskProfile, edge_queue_s: FloatArray
    ) -> tuple[LinkState, Transfer]:
        """See :class:`KeptLinks`."""
        link = _row(self._true, step)
        here = replace(self._replay, t_s=self._replay.t_s[step])
        return link, self._moved(here, link, task, edge_queue_s)

    def _moved(
        self, replay: Replay, link: LinkState, task: TaskProfile, edge_queue_s: FloatArray
    ) -> Transfer:
        return replayed_transfer(replay, link, task, edge_queue_s, self._control)


def _row(part: Any, step: int) -> Any:
    """One step of a dataclass of (steps, lanes) arrays."""
    return type(part)(*(getattr(part, field.name)[step] for field in fields(part)))
