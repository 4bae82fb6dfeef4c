"""Compare offloading policies: ``python evaluate.py --profile congested``.

Live: real tasks run on a slowed-down device and on a real edge server across a really emulated
link; each task runs on both sides, so which side was better is measured, and every policy is scored
on the same tasks. Simulated (``--mode sim``): the same policies on 100,000 modelled decisions, in
seconds, without root.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from evidence.driving.options import DriveOptions
from evidence.sweeps.settings import SweepOptions
from offload.errors import BackendError, ConfigError, OffloadError, VoidRun
from offload.link_profiles import PROFILES
from offload.types import LinkProfile, Objective

if TYPE_CHECKING:
    from agents.chosen_links import ChosenLinks
    from agents.policies import PolicySet
    from agents.report import Setting
    from agents.simulation import Evaluation
    from offload.interfaces import Policy
    from offload.types import PairedRun

_INTERRUPTED = 130
_VOID = 3


@dataclass(frozen=True)
class EvaluateOptions:
    """Compare policies with the MAUI optimum, live or in simulation."""

    profile: str | None = None
    """Network profile (without one, and without a trace: congested); in simulation also: all."""
    trace: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Instead of a profile: a measured link, replayed round and round, live or simulated."""
    traces: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Instead of a profile: simulate on every measured link of this folder."""
    trace_base: str = "lte"
    """Profile that what a trace lacks is taken from (delay, loss, a direction)."""
    mode: Literal["auto", "live", "sim"] = "auto"
    """auto: live where this machine can, else simulation, and it says so."""
    backend: str = "auto"
    """Network backend of a live run; python -m netem doctor lists them. proxy only by name."""
    tasks: Annotated[int, tyro.conf.arg(metavar="N")] = 40
    """Task instances of a live run, each run on both sides."""
    max_local: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 10.0
    """Leave out of a live run what takes the device longer than this."""
    decisions: Annotated[int, tyro.conf.arg(metavar="N")] = 100_000
    """Decisions of a simulated run."""
    without: Annotated[str | None, tyro.conf.arg(metavar="NAME,...")] = None
    """With --mode sim: switch off what makes the world hard; docs/environment.md names it."""
    hindsight: Annotated[int, tyro.conf.arg(metavar="N")] = 100
    """Simulated: scenarios of each link whose optimum in hindsight is searched for; 0: none."""
    policies: str = "all"
    """Comma-separated names, or all."""
    objective: Literal["latency", "energy", "mixed"] = "mixed"
    """What a decision is to minimise."""
    run: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="RUN")] = ()
    """Run folder of train.py, or its folder of seeds; several runs of an algorithm are scored as
    its seeds. Default: the newest of each algorithm, else the pretrained ones."""
    runs: Path = Path("runs")
    """Where to look for the newest run."""
    congestion_control: Literal["cubic", "bbr"] = "cubic"
    """TCP congestion control of both ends."""
    calibration: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """What train.py --calibrate wrote: tasks, server and transfers as they are on this machine."""
    seed: int = 0
    """Seed of the scenarios; a simulated run repeats exactly."""
    watch: bool = False
    """Live: show what happens now, in the terminal and as TensorBoard events under --runs."""
    out: Path = Path("results")
    """Where result folders go."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the summary to this file."""
    report: bool = True
    """Write report.html and report/ into the result's folder."""
    driving: tyro.conf.OmitArgPrefixes[DriveOptions] = field(default_factory=DriveOptions)
    sweeping: tyro.conf.OmitArgPrefixes[SweepOptions] = field(default_factory=SweepOptions)


def main(options: EvaluateOptions) -> int:
    """Evaluate as asked; returns the exit code."""
    apart = options.sweeping.asked or options.driving.asked
    if options.watch and (apart or options.mode == "sim"):
        raise ConfigError("--watch shows a live evaluation: no simulation, sweep or drive")
    if options.calibration is not None and apart:
        raise ConfigError("--calibration: a sweep or a drive calibrates itself; leave it out")
    if options.sweeping.asked:
        from evidence.sweeps.command import sweep

        return sweep(options.sweeping, options)
    if options.driving.asked:
        from evidence.driving.command import drive

        return drive(options.driving, options)
    return _compare(options)


def _compare(options: EvaluateOptions) -> int:
    from agents.chosen_links import choose_links
    from evidence.live_link import live_profile

    links = choose_links(options.profile, options.trace, options.traces, options.trace_base)
    profile = live_profile(links)
    if profile is None and options.mode == "live":
        raise ConfigError("a live run has one link: name a profile, or a trace with --trace FILE")
    for name, least in (("tasks", 2), ("decisions", 2), ("hindsight", 0), ("seed", 0)):
        if (value := getattr(options, name)) < least:
            raise ConfigError(f"--{name} is {value}; it must be at least {least}")
    if options.without is not None and options.mode != "sim":
        raise ConfigError("--without needs --mode sim: a real link has no switches")

    from agents.policies import collect, parse_names
    from agents.run_directory import make_folder

    make_folder(options.out)
    if options.json is not None:
        make_folder(options.json.parent)
        if options.json.is_dir():
            raise ConfigError(f"--json {options.json} is a folder; name a file")
    policies = collect(
        parse_names(options.policies),
        Objective(options.objective),
        given=options.run,
        runs=options.runs,
        seed=options.seed,
    )
    if options.mode == "sim" or profile is None:
        return _simulated(options, links, policies, ())
    try:
        return _live(options, profile, links, policies)
    except BackendError as error:
        if options.mode == "live":
            raise BackendError(f"{error}. Without a link: --mode sim") from error
        reason = f"this is a simulation, since no live run is possible here: {error}"
        print(f"evaluate.py: {reason}", file=sys.stderr)
        return _simulated(options, links, policies, (reason,))


def _simulated(
    options: EvaluateOptions, links: ChosenLinks, chosen: PolicySet, notes: tuple[str, ...]
) -> int:
    from agents.simulation import scenario_facts, simulate
    from envs.calibration import table_of
    from envs.config import EnvConfig
    from envs.links import link_names
    from envs.switches import parse_switches

    config = EnvConfig(
        objective=Objective(options.objective),
        profiles=links.profiles or tuple(PROFILES),
        traces=links.trace_files,
        trace_base=options.trace_base,
        congestion_control=options.congestion_control,
        without=parse_switches(options.without),
        calibration=None if options.calibration is None else str(options.calibration),
    )
    names = link_names(config)
    evaluation, scenario, rows = simulate(
        chosen.policies,
        config,
        table_of(config),
        options.decisions,
        options.seed,
        options.hindsight,
        chosen.seeds,
    )
    told = [*notes, *links.notes()]
    if config.without:
        told.append(f"switched off: {', '.join(config.without)}")
    details = {"scenarios": scenario.lanes, "without": list(config.without)}
    setting = _setting(options, links.label, chosen, "sim", None, tuple(told), details)
    facts = scenario_facts(scenario, names, rows.labels)
    _report(options, evaluation, setting, facts, None, chosen.policies)
    return 0


def _live(
    options: EvaluateOptions, profile: LinkProfile, links: ChosenLinks, chosen: PolicySet
) -> int:
    """Run live; once more after a pause where the machine was too busy for the run to count."""
    import time

    from netem.baseline import PAUSE_S

    try:
        return _live_once(options, profile, links, chosen)
    except VoidRun as error:
        print(f"evaluate.py: {error}. Once more in {PAUSE_S:g} s", file=sys.stderr, flush=True)
    time.sleep(PAUSE_S)
    return _live_once(options, profile, links, chosen)


def _live_once(
    options: EvaluateOptions, profile: LinkProfile, links: ChosenLinks, chosen: PolicySet
) -> int:
    from functools import partial

    from agents.paired import score_pairs
    from envs.calibration import table_of
    from envs.config import EnvConfig
    from envs.streams import Purpose, stream
    from evidence.live_facts import keep_void, live_facts
    from evidence.watch.live_watch import watching
    from netem.baseline import void_reason
    from testbed import TestbedConfig
    from testbed.live_run import run_live

    config = EnvConfig(
        objective=Objective(options.objective),
        congestion_control=options.congestion_control,
        calibration=None if options.calibration is None else str(options.calibration),
    )
    table = table_of(config)
    rng = stream(Purpose.TEST, options.seed)
    settings = TestbedConfig(
        backend=options.backend,
        slowdown=table.slowdown,
        congestion_control=options.congestion_control,
    )
    trace = links.traces[0] if links.traces else None
    shown = options.runs if options.watch else None
    with watching(
        shown, links.label, options.tasks, chosen.policies, config, profile.radio
    ) as seen:
        run = run_live(
            profile,
            settings,
            trace,
            table,
            tasks=options.tasks,
            max_local_s=options.max_local,
            deadline_slack=(
                config.workload.deadline_slack_low,
                config.workload.deadline_slack_high,
            ),
            rng=rng,
            say=partial(print, flush=True),
            seen=seen,
        )
    if run.closing.faults:
        kept = keep_void(options.out, links.label, run, profile, trace)
        raise VoidRun(f"{void_reason(run.closing)}. Raw data: {kept}")
    evaluation = score_pairs(
        chosen.policies,
        run.pairs,
        radio=profile.radio,
        config=config,
        rng=rng,
        seed=options.seed,
        seeds=chosen.seeds,
    )
    notes = [*run.notes, *(links.notes() if trace else ()), *run.replay_notes]
    facts = live_facts(run, profile, trace)
    setting = _setting(options, links.label, chosen, "live", run.backend, tuple(notes), run.details)
    _report(options, evaluation, setting, facts, run.pairs, chosen.policies)
    return 0


def _setting(
    options: EvaluateOptions,
    label: str,
    chosen: PolicySet,
    mode: str,
    backend: str | None,
    notes: tuple[str, ...],
    details: dict[str, Any],
) -> Setting:
    from agents.report import Setting

    return Setting(
        profile=label,
        mode=mode,
        backend=backend,
        objective=options.objective,
        seed=options.seed,
        sources=chosen.sources,
        notes=(*notes, *chosen.notes),
        details=details,
    )


def _report(
    options: EvaluateOptions,
    evaluation: Evaluation,
    setting: Setting,
    facts: dict[str, Any],
    pairs: list[PairedRun] | None,
    policies: tuple[Policy, ...],
) -> None:
    """Print the table, and write the result's folder."""
    from rich.console import Console

    from agents import plots, report
    from agents.run_directory import new_run_folder, origin, write_json
    from evidence.report.map_data import write_maps
    from evidence.report.page import write_report

    console = Console(width=None if sys.stdout.isatty() else 120)
    report.print_table(evaluation, setting, console)
    folder = new_run_folder(options.out, f"{setting.profile}-{setting.mode}")
    write_json(folder / "result.json", report.result(evaluation, setting, origin()))
    report.write_decisions(folder / "decisions.csv", facts, evaluation)
    title = f"{setting.profile}, {setting.mode}, {evaluation.decisions:,} decisions"
    plots.plot_policies(evaluation, title, folder / "policies.png")
    plots.plot_latency(evaluation, title, folder / "latency.png")
    if pairs is not None:
        from evidence.agreement.command import agree

        plots.plot_pairs(pairs, title, folder / "pairs.png")
        agree([folder], folder, console, options.calibration)
    write_maps(folder, policies, Objective(options.objective), options.congestion_control)
    if options.json is not None:
        write_json(options.json, report.summary(evaluation, setting))
    print(f"results: {folder}")
    if options.report:
        print(f"report: {write_report([folder], folder)}")


def _terminate(signum: int, frame: object) -> None:
    """A signal unwinds like an exception, so that everything started is taken down."""
    raise SystemExit(128 + signum)


def cli() -> None:
    """Entry point: errors of the project are one line and exit code 2, or 3 for a void run."""
    options = tyro.cli(EvaluateOptions, description=__doc__)
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup sets it to be ignored
        signal.signal(signal.SIGHUP, _terminate)
    if options.mode != "sim" and options.profile != "all" and options.backend != "proxy":
        from netem import unprivileged

        unprivileged.enter()  # refused, it goes on, and the live run says what it lacks
    try:
        code = main(options)
    except (OffloadError, OSError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        code = _VOID if isinstance(error, VoidRun) else 2
    except ImportError as error:
        print(
            f"evaluate.py: the package {error.name!r} is missing; pip install -r requirements.txt",
            file=sys.stderr,
        )
        code = 2
    except KeyboardInterrupt:
        print("evaluate.py: interrupted; nothing was left running", file=sys.stderr)
        code = _INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    cli()
