"""What ``evaluate.py`` and ``python -m evidence.agreement`` ask for."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from evidence.agreement.compare import Agreement, compare
from evidence.agreement.outcome import print_agreement, write_agreement
from evidence.agreement.stored import CALIBRATION_NAME, load_run
from offload.tasks.profile_table import load_profile_table


def agree(
    folders: Sequence[Path], out: Path, console: Console, calibration: Path | None = None
) -> Agreement:
    """Compare the live runs of these folders, print the outcome and write it into ``out``.

    Args:
        calibration: the file that these runs were given, if any; each folder gets a copy, from
            which it is compared from then on.

    Raises:
        ConfigError: a folder that is no live run, or is damaged.
    """
    if calibration is not None:
        for folder in folders:
            shutil.copyfile(calibration, folder / CALIBRATION_NAME)
    runs = [load_run(folder) for folder in folders]
    agreement = compare(runs, load_profile_table())
    write_agreement(agreement, out)
    print_agreement(agreement, console)
    return agreement
