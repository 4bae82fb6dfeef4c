"""Searches for hyper-parameters with Optuna: ``python train.py --tune``.

A trial is a training; what is minimised is the least cost it reaches on the validation scenarios,
which are neither trained on nor ever reported as a result. All trials have one seed, so they meet
the same training scenarios as far as their lanes agree. A trial whose least cost so far is above
the median of the others at the same check is ended there. The first trial has the values that a
training has by itself.

This process asks and tells; the trials train in others (:mod:`agents.tuning_workers`). All that has
been found lies in a journal, so a study that is killed goes on: what was being trained is tried
again. With one worker a study repeats; with more, what is tried next depends on who is done first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.launcher import Launcher, ProcessLauncher
from agents.tuning_plan import Plan
from agents.tuning_space import defaults, require_space, suggest
from offload.errors import ConfigError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

JOURNAL_NAME = "study.journal"
_NAME = "offload"
_LOOK_S = 0.2
"""How often a wish to stop is looked for."""
STARTUP_TRIALS = 5
"""Trials that are never ended early, nor proposed from what was found before."""
WARMUP_CHECKS = 8
"""Checks that every trial is given."""


def require_optuna() -> None:
    """Raises ConfigError with the way out where Optuna is missing."""
    if find_spec("optuna") is None:
        raise ConfigError("--tune needs the package optuna; pip install -r requirements-tune.txt")


def open_study(folder: Path, plan: Plan) -> Study:
    """The study in a folder, made if there is none; what was cut off is lined up again.

    Call it while the folder is held: a trial that seems to run is then one that was cut off.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL_NAME)))
    study = optuna.create_study(study_name=_NAME, storage=storage, load_if_exists=True)
    tried = study.get_trials(deepcopy=False)
    study.sampler = optuna.samplers.TPESampler(
        # Another seed for what comes next: the same would propose the first trials again.
        seed=plan.config.seed + len(tried),
        n_startup_trials=STARTUP_TRIALS,
        multivariate=True,
        constant_liar=True,
    )
    study.pruner = optuna.pruners.MedianPruner(STARTUP_TRIALS, WARMUP_CHECKS)
    if not tried:
        study.enqueue_trial(defaults(plan.config.algo))
    # Those that are lined up already hold their values apart.
    kept = [t.system_attrs.get("fixed_params") for t in tried if t.state is TrialState.WAITING]
    kept += [t.params for t in tried if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    for trial in tried:
        if trial.state is TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
        cut_off = trial.state in (TrialState.RUNNING, TrialState.FAIL)
        if cut_off and trial.params and trial.params not in kept:
            kept.append(trial.params)
            study.enqueue_trial(trial.params)
    return study


@dataclass(slots=True)
class _Running:
    """A trial that is being trained; ``verdict`` is why it was told to stop."""

    trial: Trial
    least: float = float("inf")
    checks: int = 0
    verdict: str = ""


def run_study(
    folder: Path,
    plan: Plan,
    *,
    workers: int | None = None,
    launcher: Launcher | None = None,
    stop: Callable[[], bool],
    report: Callable[[int, str, float], None],
) -> Study:
    """Try until there are ``plan.trials`` trials, or a stop is asked for.

    Args:
        workers: trainings at a time; None: one a core.
        launcher: where they run; None: processes of this machine.
        stop: asked often; True cuts off what is being trained.
        report: is given each trial's number, what came of it, and its least cost.

    Raises:
        OffloadError: a training failed, or its process is gone.
    """
    from optuna.trial import TrialState

    require_space(plan.config.algo)
    study = open_study(folder, plan)
    counted = (TrialState.COMPLETE, TrialState.PRUNED)
    done = len(study.get_trials(deepcopy=False, states=counted))
    launcher = launcher or ProcessLauncher()
    count = min(workers or launcher.cores, max(plan.trials - done, 1))
    running: dict[int, _Running] = {}
    if done >= plan.trials:
        return study
    with launcher.trial_workers(count) as pool:
        while running or (done < plan.trials and not stop()):
            for worker in range(len(pool)):
                if worker in running or stop() or done + len(running) >= plan.trials:
                    continue
                trial = study.ask()
                chosen = suggest(trial, plan.config.algo)
                running[worker] = _Running(trial)
                pool.begin(worker, replace(plan.config, lanes=chosen.lanes, params=chosen.params))
            if stop():
                for worker, one in running.items():
                    if one.verdict != "interrupted":
                        one.verdict = "interrupted"
                        pool.stop(worker)
            for worker, message in pool.reports(list(running), _LOOK_S):
                one = running[worker]
                if "row" in message and _look(one, message["row"]):
                    pool.stop(worker)
                if "end" in message:
                    del running[worker]
                    done += _settle(study, one, message["end"])
                    report(one.trial.number, one.verdict or "trained", one.least)
    return study


def _look(one: _Running, row: dict[str, Any]) -> bool:
    """Note a check; True if the trial is to be ended for it."""
    one.least = min(one.least, float(row["cost"]))
    one.trial.report(one.least, one.checks)
    one.checks += 1
    if not one.verdict and one.trial.should_prune():
        one.verdict = "ended early"
        return True
    return False


def _settle(study: Study, one: _Running, failure: str) -> int:
    """Tell the study what came of a trial; 1 if it counts.

    Raises:
        ConfigError: its training failed.
    """
    from optuna.trial import TrialState

    if failure:
        study.tell(one.trial, state=TrialState.FAIL)
        raise ConfigError(f"trial {one.trial.number} could not be trained: {failure}")
    if one.verdict == "interrupted":
        study.tell(one.trial, state=TrialState.FAIL)
        return 0
    if one.verdict:
        study.tell(one.trial, state=TrialState.PRUNED)
    else:
        study.tell(one.trial, one.least)
    return 1
