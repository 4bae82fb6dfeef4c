"""Which links an evaluation or a training is asked to use: named profiles, or measured traces."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from offload.errors import ConfigError
from offload.link_profiles import PROFILES, get_profile
from offload.link_trace import LinkTrace, load_trace, load_traces

DEFAULT_PROFILE = "congested"


@dataclass(frozen=True, slots=True)
class ChosenLinks:
    """The links that were asked for.

    Attributes:
        label: what to call them.
        profiles: names of profiles; empty where there are traces.
        traces: measured links that are replayed.
    """

    label: str
    profiles: tuple[str, ...]
    traces: tuple[LinkTrace, ...] = ()

    @property
    def trace_files(self) -> tuple[str, ...]:
        """The traces' files, as a configuration holds them."""
        return tuple(trace.source for trace in self.traces)

    def notes(self) -> list[str]:
        """What traces there are, and what they lacked, a line each."""
        if not self.traces:
            return []
        first = Path(self.traces[0].source)
        where = first if len(self.traces) == 1 else first.parent
        counts = Counter(assumed for trace in self.traces for assumed in trace.assumed)
        return [
            f"measured links: {len(self.traces)} from {where}, each replayed round and round",
            *(f"{n} of {len(self.traces)} traces: {assumed}" for assumed, n in counts.items()),
        ]


def links_in_words(profiles: str, n_traces: int, trace_share: float) -> str:
    """What a training's episodes are played on.

    Args:
        profiles: what its profiles are called.
        trace_share: share of episodes on measured links, where there are any.
    """
    if not n_traces:
        return profiles
    others = "" if trace_share == 1.0 else f" ({trace_share:.0%}) and {profiles}"
    return f"{n_traces} measured links{others}"


def choose_links(
    profile: str | None, trace: Path | None, traces: Path | None, trace_base: str
) -> ChosenLinks:
    """The links that options ask for.

    Args:
        profile: a profile's name, or ``all``.
        trace: a trace file.
        traces: a folder of them.
        trace_base: profile that what a trace lacks is taken from.

    Raises:
        ConfigError: more than one of the three is given.
        TraceError, UnknownNameError: a trace that cannot be read; no such profile.
    """
    asked = {"--profile": profile, "--trace": trace, "--traces": traces}
    given = [name for name, value in asked.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} each say which links to use: give one of them")
    if trace is not None:
        loaded = load_trace(trace, base=trace_base)
        return ChosenLinks(loaded.name, (), (loaded,))
    if traces is not None:
        return ChosenLinks(traces.resolve().name, (), load_traces(traces, base=trace_base))
    if profile == "all":
        return ChosenLinks("all", tuple(PROFILES))
    name = get_profile(profile or DEFAULT_PROFILE).name
    return ChosenLinks(name, (name,))
