"""What the link of a live run is told to be."""

from __future__ import annotations

from agents.chosen_links import ChosenLinks
from netem.trace_rows import first_profile
from offload.link_profiles import get_profile
from offload.types import LinkProfile


def live_profile(links: ChosenLinks) -> LinkProfile | None:
    """The profile chosen, of a trace its first row; None: not one link but several."""
    if links.traces:
        return first_profile(links.traces[0]) if len(links.traces) == 1 else None
    return get_profile(links.profiles[0]) if len(links.profiles) == 1 else None
