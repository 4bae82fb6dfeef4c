"""``python evaluate.py --drive``: policies drive, and a folder holds what came of it."""

from __future__ import annotations

import sys
from functools import partial

from rich.console import Console

from agents.chosen_links import choose_links
from agents.policies import PolicySet, collect, parse_names
from agents.run_directory import make_folder, new_run_folder, origin, write_json
from envs.config import EnvConfig
from envs.streams import Purpose, stream
from evidence.driving import report
from evidence.driving.accounts import account
from evidence.driving.options import DriveOptions, RunOptions
from evidence.driving.plot import plot_drives
from evidence.driving.run import Drives, DriveSettings, drive_all
from evidence.driving.scores import score_drives
from evidence.driving.stress import stress_trace
from evidence.live_link import live_profile
from evidence.report.page import write_report
from netem.trace_rows import departures, first_profile
from offload.energy_model import get_radio
from offload.errors import ConfigError
from offload.link_trace import LinkTrace
from offload.tasks.profile_table import load_profile_table
from offload.types import LinkProfile, Objective

DEFAULT_POLICIES = ("always-local", "always-edge", "threshold-time", "maui-measured", "ppo", "dqn")
"""What ``all`` means here: a drive takes minutes a policy."""
_VOID = 3


def drive(asked: DriveOptions, options: RunOptions) -> int:
    """Drive as asked; returns the exit code: 3 where any policy's drive is void.

    Raises:
        ConfigError: the options do not go together.
        BackendError, TestbedError: no live run is possible here, or it failed.
    """
    if options.json is not None:
        make_folder(options.json.parent)
    chosen, settings = _settings(asked, options)
    drives = drive_all(settings, load_profile_table(), partial(print, flush=True))
    config = EnvConfig(objective=settings.objective)
    played = {drive.policy: drive.over for drive in drives.drives if drive.over is not None}
    accounts = {
        name: account(
            drives.arrivals,
            played[name].tasks,
            objective=settings.objective,
            radio=get_radio(settings.profile.radio),
            cost_cap=config.cost_cap,
        )
        for name in settings.policies
        if name in played
    }
    wrong = {name: len(over.wrong) for name, over in played.items()}
    scores = score_drives(accounts, wrong, stream(Purpose.RESAMPLE, settings.seed))

    label = settings.profile.name
    notes = _notes(settings, drives, chosen)
    void = [drive for drive in drives.drives if drive.over is None]
    folder = new_run_folder(options.out, f"{label}-drive{'-void' if void else ''}")
    result = report.summary(scores, drives, settings, notes, origin())
    write_json(folder / "summary.json", result)
    if options.json is not None:
        write_json(options.json, result)
    if scores:
        title = (
            f"{label}: {len(drives.arrivals)} tasks a policy, driven live over {drives.backend}, "
            f"objective {settings.objective}, seed {settings.seed}"
        )
        report.print_table(
            scores, drives, title, Console(width=None if sys.stdout.isatty() else 120)
        )
        report.write_csv(folder / "drive.csv", drives, accounts)
        figures = make_folder(folder / "figures")
        for path in (folder / "drive.png", figures / "drive.svg"):
            plot_drives(drives, accounts, settings, title, path)
        (figures / "drive.txt").write_text(report.CAPTION + "\n")
    for note in notes:
        print(f"note: {note}")
    print(f"results: {folder}")
    if scores and options.report:
        print(f"report: {write_report([folder], folder)}")
    return _VOID if void else 0


def _settings(asked: DriveOptions, options: RunOptions) -> tuple[PolicySet, DriveSettings]:
    if not asked.drive:
        raise ConfigError("--stress goes with --drive")
    if options.mode == "sim":
        raise ConfigError("--drive is live; leave out --mode sim")
    if options.tasks < 2:
        raise ConfigError(f"--tasks is {options.tasks}; it must be at least 2")
    if options.seed < 0:
        raise ConfigError(f"--seed is {options.seed}; it must be 0 or more")
    profile, trace = _link(asked, options)
    objective = Objective(options.objective)
    wanted = DEFAULT_POLICIES if options.policies == "all" else parse_names(options.policies)
    if "maui-true" in wanted:
        raise ConfigError(
            "maui-true cannot drive: what it would have to know shows only afterwards. Leave it out"
        )
    chosen = collect(wanted, objective, given=options.run, runs=options.runs, seed=options.seed)
    names = tuple(policy.name for policy in chosen.policies if not policy.sees_truth)
    return chosen, DriveSettings(
        policies=names,
        asked=wanted,
        objective=objective,
        runs=options.run,
        runs_root=options.runs,
        seed=options.seed,
        profile=profile,
        trace=trace,
        backend=options.backend,
        congestion_control=options.congestion_control,
        tasks=options.tasks,
        max_local_s=options.max_local,
        # The trouble is to be met: once round a link under stress, but of a measured one a part.
        at_least_s=trace.end_s if trace is not None and asked.stress is not None else 0.0,
    )


def _link(asked: DriveOptions, options: RunOptions) -> tuple[LinkProfile, LinkTrace | None]:
    """The link's profile, and the trace that is replayed on it."""
    if asked.stress is not None:
        if (options.profile, options.trace, options.traces) != (None, None, None):
            raise ConfigError("--stress says which link to use: leave out --profile and --trace")
        made = stress_trace(asked.stress)
        return first_profile(made), made
    links = choose_links(options.profile, options.trace, options.traces, options.trace_base)
    profile = live_profile(links)
    if profile is None:
        raise ConfigError("--drive has one link: name a profile, a trace, or --stress")
    return profile, links.traces[0] if links.traces else None


def _notes(settings: DriveSettings, drives: Drives, chosen: PolicySet) -> list[str]:
    notes = [
        *drives.facts,
        f"all on the device, the tasks would take {drives.load:.0%} of its CPU",
        "order of the drives: " + ", ".join(drive.policy for drive in drives.drives),
        *(f"{name}: {source}" for name, source in chosen.sources.items()),
        *chosen.notes,
    ]
    if not drives.takes_seed:
        notes.append(
            f"backend {drives.backend} takes no seed: every policy meets the same trace from the"
            " same moment, but losses of packets of its own (--backend tun repeats them)"
        )
    if drives.backend == "proxy":
        notes.append("over proxy the link is probed once, before the first task arrives")
    if settings.trace is not None:
        notes += [*settings.trace.assumed, *departures(settings.trace, 200e6)]
    for drive in drives.drives:
        if drive.void:
            notes.append(f"{drive.policy} is void: {drive.void}")
        elif drive.replay is not None:
            notes.append(f"{drive.policy}: replay: {drive.replay}")
    late_s = [
        task.called_s - arrival.due_s
        for drive in drives.drives
        if drive.over is not None
        for arrival, task in zip(drives.arrivals, drive.over.tasks, strict=True)
    ]
    if late_s:
        notes.append(f"a task was handed to the engine {1e3 * max(late_s):.1f} ms late at worst")
    wrong = {drive.policy: len(drive.over.wrong) for drive in drives.drives if drive.over}
    if any(wrong.values()):
        notes.append(f"wrong answers: {', '.join(f'{n} of {p}' for p, n in wrong.items() if n)}")
    return notes
