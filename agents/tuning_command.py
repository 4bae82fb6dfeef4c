"""``python train.py --tune``: a study from its options to its summary."""

from __future__ import annotations

from pathlib import Path

from agents.launcher import Launcher
from agents.run_directory import held, new_run_folder
from agents.stop_signal import StopSignal
from agents.train_config import TrainConfig
from agents.tuning import require_optuna, run_study
from agents.tuning_plan import Plan, read_study_plan, write_study_plan
from agents.tuning_space import require_space
from agents.tuning_summary import print_study, summarise_study, write_study

DEFAULT_TRIALS = 30


def tune(config: TrainConfig, trials: int | None, out: Path, launcher: Launcher) -> bool:
    """Run a new study in a folder of its own under ``out``; True if it came to its end."""
    require_optuna()
    require_space(config.algo)
    folder = new_run_folder(out, f"tune-{config.algo}-{config.env.objective}")
    plan = Plan(config, trials or DEFAULT_TRIALS)
    write_study_plan(folder, plan)
    return _go_on(folder, plan, launcher)


def resume_study(
    folder: Path, trials: int | None, steps: int | None, launcher: Launcher | None = None
) -> bool:
    """Go on with a study; True if it came to its end.

    Args:
        trials: in all, in place of the study's own.
        steps: of each trial; they cannot change.
        launcher: where they train; None: processes of this machine.
    """
    require_optuna()
    plan = read_study_plan(folder, trials, steps)
    write_study_plan(folder, plan)
    return _go_on(folder, plan, launcher)


def _go_on(folder: Path, plan: Plan, launcher: Launcher | None) -> bool:
    from tqdm import tqdm

    config = plan.config
    print(
        f"study of {config.algo}: {plan.trials} trials of {config.total_steps:,} steps; objective "
        f"{config.env.objective}; seed {config.seed}",
        flush=True,
    )

    def report(number: int, outcome: str, cost: float) -> None:
        tqdm.write(f"trial {number}: {outcome}, least validation cost {cost:.4f}")
        bar.update(outcome != "interrupted")

    with (
        held(folder),
        StopSignal() as stop,
        tqdm(total=plan.trials, unit=" trials", disable=None) as bar,
    ):
        study = run_study(folder, plan, launcher=launcher, stop=stop, report=report)
        summary = summarise_study(study, config.algo)
        write_study(study, summary, folder)
    print_study(summary, folder)
    print(f"study: {folder}")
    if stop():
        print(f"go on: python train.py --resume {folder}")
        return False
    return True
