"""How well the probes know an emulated link, and what they cost: docs/measured/probes-uml.json.

python benchmarks/probes.py --backend uml --json docs/measured/probes-uml.json

Three questions to each profile: what one measurement finds, from nothing (measure, every estimator
a new one); what the background finds on an idle link within its budget, and what that costs; and
the loss over 1,000 pings. Errors are against what was set. The emulator adds a little delay of its
own, measured unshaped at the start, at both paces of pings (a machine that slept half a second is
slower to answer); the RTT is also compared with what was set plus that. A file that exists keeps
the profiles that are not measured anew.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@dataclass(frozen=True)
class Config:
    """What to measure, and how often."""

    profiles: str = "all"
    """Names, separated by commas, or all (but lan, which has nothing to compare with)."""
    backend: str = "auto"
    """Backend of the link (see: python -m netem doctor)."""
    measurements: int = 15
    """Measurements from nothing, a profile."""
    idle_s: float = 60.0
    """Seconds of background probing that are reported, after its first measurement."""
    budget_share: float = 0.01
    """Share of each direction's rate that the background may cost."""
    loss_runs: int = 9
    """Runs of 1,000 pings for the loss, a profile."""
    json: Path | None = None
    """Also write the figures to this file."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Of one quantity against what was set, over ``count`` estimates.

    Attributes:
        median: of |estimate / set - 1|.
        p90: 90th percentile of the same.
        bias: mean of ln(estimate / set).
        spread: standard deviation of ln(estimate / set).
        within_2_sd: share of the estimates within two of their own standard errors of what was set.
    """

    median: float
    p90: float
    bias: float
    spread: float
    within_2_sd: float
    count: int


def errors(found: Sequence[Any], true: float) -> Errors | None:
    """Sum up estimates (netem.estimator.Estimated); None where nothing was set or found."""
    known = [entry for entry in found if math.isfinite(entry.value) and entry.value > 0]
    if not known or not true > 0:
        return None
    relative = sorted(abs(entry.value / true - 1) for entry in known)
    logs = [math.log(entry.value / true) for entry in known]
    return Errors(
        median=statistics.median(relative),
        p90=relative[math.ceil(0.9 * len(relative)) - 1],
        bias=statistics.fmean(logs),
        spread=statistics.stdev(logs) if len(logs) > 1 else math.nan,
        within_2_sd=statistics.fmean(abs(e.value - true) < 2 * e.sd for e in known),
        count=len(known),
    )


@dataclass(frozen=True, slots=True)
class Quantities:
    """Errors of each quantity; ``rtt_and_base`` counts the emulator's own delay as set."""

    rtt: Errors | None
    rtt_and_base: Errors | None
    jitter: Errors | None
    uplink: Errors | None
    downlink: Errors | None


def quantities(estimates: Sequence[Any], profile: Any, base_rtt_s: float) -> Quantities:
    """Compare :class:`netem.estimator.LinkEstimate` s with the profile that was set."""
    up, down = profile.uplink, profile.downlink
    rtt_s = up.delay_s + down.delay_s
    return Quantities(
        rtt=errors([e.rtt for e in estimates], rtt_s),
        rtt_and_base=errors([e.rtt for e in estimates], rtt_s + base_rtt_s),
        jitter=errors([e.jitter for e in estimates], math.hypot(up.jitter_s, down.jitter_s)),
        uplink=errors([e.uplink for e in estimates], up.rate_bps or 0.0),
        downlink=errors([e.downlink for e in estimates], down.rate_bps or 0.0),
    )


def from_nothing(link: Any, profile: Any, base_rtt_s: float, count: int) -> dict[str, Any]:
    """What one measurement finds, each by a prober that knows nothing."""
    from netem.measurement import settle
    from netem.probes import LinkProber, ProbeResponder

    estimates, seconds, cost = [], [], []
    with ProbeResponder(link.edge.address, endpoint=link.edge) as responder:
        for _ in range(count):
            with LinkProber(*responder.address, endpoint=link.device) as prober:
                begin = time.monotonic()
                prober.measure()
                seconds.append(time.monotonic() - begin)
                estimates.append(prober.estimate())
                cost.append(prober.cost)
            settle(link)
    return {
        **dataclasses.asdict(quantities(estimates, profile, base_rtt_s)),
        "seconds": statistics.median(seconds),
        "uplink_bytes": statistics.median(entry.uplink_bytes for entry in cost),
        "downlink_bytes": statistics.median(entry.downlink_bytes for entry in cost),
    }


def in_background(link: Any, profile: Any, base_rtt_s: float, config: Config) -> dict[str, Any]:
    """What the background finds, looked at every second, and its bytes as the router counts them.

    The first measurement is not in the bytes, though it is held against the budget.
    """
    from netem.probes import LinkProber, ProbeResponder

    estimates = []
    with (
        ProbeResponder(link.edge.address, endpoint=link.edge) as responder,
        LinkProber(
            *responder.address, budget_share=config.budget_share, endpoint=link.device
        ) as prober,
    ):
        while prober.cost.measurements == 0:
            time.sleep(0.01)
        with prober.hold():  # until a measurement is through
            first, before = prober.cost, link.stats()
        begin = time.monotonic()
        while time.monotonic() < begin + config.idle_s:
            time.sleep(1.0)
            estimates.append(prober.estimate())
        with prober.hold():
            elapsed_s = time.monotonic() - begin
            last, after = prober.cost, link.stats()
    shares = {}
    for name in ("uplink", "downlink"):
        routed = getattr(after, name).sent_bytes - getattr(before, name).sent_bytes
        rate_bps = getattr(profile, name).rate_bps
        shares[f"{name}_bytes_per_s"] = (
            getattr(last, f"{name}_bytes") - getattr(first, f"{name}_bytes")
        ) / elapsed_s
        shares[f"{name}_routed_bytes_per_s"] = routed / elapsed_s
        shares[f"{name}_share"] = 8 * shares[f"{name}_bytes_per_s"] / rate_bps
    return {
        **dataclasses.asdict(quantities(estimates, profile, base_rtt_s)),
        **shares,
        "seconds": elapsed_s,
    }


def of_loss(link: Any, profile: Any, runs: int, pings: int = 1000) -> dict[str, Any]:
    """Loss over ``pings`` pings, by an estimator that knows nothing; in points (per cent)."""
    from netem.measurement import loss_error
    from netem.probes import LinkProber, ProbeResponder

    up, down = profile.uplink, profile.downlink
    slowest_bps = min(up.rate_bps or 1e9, down.rate_bps or 1e9)
    pings_per_s = min(1000.0, 0.6 * slowest_bps / (8 * 106))
    off: dict[str, list[float]] = {"link": [], "uplink": [], "downlink": []}
    with ProbeResponder(link.edge.address, endpoint=link.edge) as responder:
        for _ in range(runs):
            with LinkProber(*responder.address, endpoint=link.device) as prober:
                prober.echoes(pings, 1 / pings_per_s, timeout_s=2.0)
                found = prober.estimate()
            off["link"].append(found.state().loss - (up.loss + down.loss) / 2)
            off["uplink"].append(found.uplink_loss.value - up.loss)
            off["downlink"].append(found.downlink_loss.value - down.loss)
    chance = [loss_error(one.loss_enter, one.loss_leave, pings) for one in (up, down)]
    return {
        "runs": runs,
        "pings": pings,
        "set_points": 50 * (up.loss + down.loss),
        **{
            f"{name}_median_points": 100 * statistics.median(map(abs, values))
            for name, values in off.items()
        },
        "bias_points": 100 * statistics.fmean(off["link"]),
        # Two thirds of a standard error: the median of |x| of a normal x.
        "median_by_chance_points": 100 * 0.6745 * math.hypot(*chance) / 2,
    }


def measure(link: Any, names: Sequence[str], config: Config) -> dict[str, Any]:
    """Every profile in turn; returns the record by profile name."""
    from tqdm import tqdm

    from netem.measurement import settle
    from netem.probe_budget import SHORTEST_PING_INTERVAL_S
    from netem.probes import LinkProber, ProbeResponder
    from offload.link_profiles import get_profile

    with (
        ProbeResponder(link.edge.address, endpoint=link.edge) as responder,
        LinkProber(*responder.address, endpoint=link.device) as prober,
    ):
        base_rtt_s = statistics.median(prober.echoes(100, 0.01).rtts_s)
        idle_base_rtt_s = statistics.median(prober.echoes(20, SHORTEST_PING_INTERVAL_S).rtts_s)
    found = {}
    for name in tqdm(names, unit="profile", disable=None):
        profile = get_profile(name)
        link.apply(profile)
        settle(link)
        found[name] = {
            "base_rtt_s": base_rtt_s,
            "idle_base_rtt_s": idle_base_rtt_s,
            "load_average_1min": os.getloadavg()[0],
            "from_nothing": from_nothing(link, profile, base_rtt_s, config.measurements),
            "background": in_background(link, profile, idle_base_rtt_s, config),
            "loss": of_loss(link, profile, config.loss_runs),
        }
    return found


def print_table(found: dict[str, Any]) -> None:
    """The medians, a line a profile."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="median error % (measured once / idle background); loss at 1,000 pings")
    for title in ("profile", "RTT", "less base", "jitter", "uplink", "downlink"):
        table.add_column(title, justify="left" if title == "profile" else "right")
    for title in ("loss points", "by chance", "idle B/s up", "down", "share % up", "down"):
        table.add_column(title, justify="right")
    for name, record in found.items():
        once, idle, loss = record["from_nothing"], record["background"], record["loss"]
        cells = [
            " / ".join(
                "-" if part[key] is None else f"{100 * part[key]['median']:.1f}"
                for part in (once, idle)
            )
            for key in ("rtt", "rtt_and_base", "jitter", "uplink", "downlink")
        ]
        cells += [f"{loss[key]:.2f}" for key in ("link_median_points", "median_by_chance_points")]
        cells += [f"{idle[f'{way}_bytes_per_s']:.0f}" for way in ("uplink", "downlink")]
        cells += [f"{100 * idle[f'{way}_share']:.2f}" for way in ("uplink", "downlink")]
        table.add_row(name, *cells)
    Console(width=140).print(table)


def main(config: Config) -> None:
    """Measure, print and write."""
    from netem.link import open_link
    from offload.link_profiles import PROFILES, get_profile

    wanted = [name for name in PROFILES if name != "lan"]
    if config.profiles != "all":
        wanted = [get_profile(name).name for name in config.profiles.split(",")]
    with open_link(get_profile("lan"), config.backend) as link:
        print(link.reason, file=sys.stderr)
        found = measure(link, wanted, config)
        used = link.backend
    print_table(found)
    if config.json is not None:
        earlier: dict[str, Any] = {}
        if config.json.exists():
            earlier = json.loads(config.json.read_text())["profiles"]
        command = "python benchmarks/probes.py --backend " + used
        command += f" --measurements {config.measurements} --idle-s {config.idle_s:g}"
        command += f" --budget-share {config.budget_share:g} --loss-runs {config.loss_runs}"
        for name, entry in found.items():
            entry["command"] = f"{command} --profiles {name}"
        known = {**earlier, **found}
        record = {
            "backend": used,
            "kernel": platform.release().split("-")[0],
            "cpus": os.cpu_count(),
            "units": "seconds, bytes, fractions; points are per cent of loss",
            "profiles": {name: known[name] for name in PROFILES if name in known},
        }
        config.json.parent.mkdir(parents=True, exist_ok=True)
        config.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
