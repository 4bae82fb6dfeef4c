"""How faithfully a replayed trace is carried: rates achieved and round trips measured against set.

    python benchmarks/trace_replay.py                     # the sample trace, under a minute
    python benchmarks/trace_replay.py FILE ... --seconds 60 --json out.json --plots docs/images

Each trace is replayed five times: idle under pings, and each way under a flood of datagrams, which
shows what the link lets through, and under TCP, which shows what a transport makes of it. TCP is
BBR where the kernel has it, since CUBIC takes the emulated loss for congestion. Achieved is
payload: of a rate 97.2 % fit as datagrams, 95.6 % as TCP.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, uninstalled

from offload.errors import OffloadError

SAMPLE = Path(__file__).resolve().parents[1] / "docs" / "traces" / "sample.csv"


@dataclass(frozen=True)
class Options:
    """Replay traces and compare what is achieved with what was set, in bins of half a second."""

    traces: tyro.conf.Positional[tuple[Path, ...]] = (SAMPLE,)
    """Trace files."""
    seconds: Annotated[float, tyro.conf.arg(metavar="S")] = 8.0
    """Length of each of a trace's five replays; no more than the trace's own is used."""
    backend: str = "auto"
    """Network backend that carries packets."""
    base: str = "lte"
    """Profile that what a trace lacks is taken from."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the figures here; those of other traces in the file are kept."""
    plots: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Write a plot of each trace here."""


def main(options: Options) -> int:
    """Replay, print the table, write what was asked for; returns the exit code."""
    from netem.fidelity import replay, summary
    from netem.fidelity_plot import plot
    from netem.fidelity_traffic import BIN_S
    from netem.goodput import available_congestion_control
    from offload.link_trace import load_trace

    algorithm = available_congestion_control()
    found: dict[str, Any] = {}
    if options.json is not None and options.json.is_file():
        found = json.loads(options.json.read_text())["traces"]
    print("| trace | quantity | correlation | median ratio to set | bins | rows late, ms (worst) |")
    print("| --- | --- | ---: | ---: | ---: | --- |")
    for path in options.traces:
        trace = load_trace(path, base=options.base)
        seen = replay(trace, options.backend, min(options.seconds, trace.end_s), algorithm)
        parts = summary(seen)
        found[trace.name] = {"backend": seen.backend} | {
            name: asdict(part) for name, part in parts.items()
        }
        for name, part in parts.items():
            print(
                f"| {trace.name} | {name} | {part.correlation:.3f} | {part.median_ratio:.3f} |"
                f" {part.bins} | {part.late_median_s * 1e3:.1f} ({part.late_worst_s * 1e3:.0f}) |",
                flush=True,
            )
        if options.plots is not None:
            options.plots.mkdir(parents=True, exist_ok=True)
            plot(seen, options.plots / f"trace-replay-{trace.name}.png")
    print(f"payload, of which 97.2 % of a rate fit as datagrams and 95.6 % as TCP ({algorithm})")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        document = {"congestion_control": algorithm, "bin_s": BIN_S, "traces": found}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Options)))
    except OffloadError as error:
        print(f"trace_replay.py: {error}", file=sys.stderr)
        sys.exit(2)
