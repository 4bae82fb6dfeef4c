"""What a live run's folder holds of each pair, whether the run counts or is void."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.paired import pair_facts
from agents.report import write_columns
from agents.run_directory import new_run_folder, origin, write_json
from evidence.agreement.set_links import set_facts, set_links
from offload.link_trace import LinkTrace
from offload.types import LinkProfile
from testbed.live_run import LiveRun


def live_facts(run: LiveRun, profile: LinkProfile, trace: LinkTrace | None) -> dict[str, Any]:
    """Columns of one value a pair: what was measured and believed, and the link as it was set."""
    facts = pair_facts(run.pairs)
    facts |= set_facts(set_links(run.pairs, profile, trace, run.max_rate_bps))
    if trace is not None:
        facts["trace"] = [trace.name] * len(run.pairs)
        facts["trace_s"] = [pair.trace_s for pair in run.pairs]
    return facts


def keep_void(
    out: Path, label: str, run: LiveRun, profile: LinkProfile, trace: LinkTrace | None
) -> Path:
    """Keep what a void run measured, marked as such and without any score; returns the folder."""
    folder = new_run_folder(out, f"{label}-live-void")
    write_json(folder / "void.json", {"void": True, "baseline": run.closing.as_dict(), **origin()})
    write_columns(folder / "pairs.csv", live_facts(run, profile, trace))
    return folder
