"""What ``evaluate.py`` and ``python -m evidence.agreement`` ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from evidence.agreement.compare import Agreement, compare
from evidence.agreement.outcome import print_agreement, write_agreement
from evidence.agreement.stored import load_run
from offload.tasks.profile_table import ProfileTable, load_profile_table


def agree(
    folders: Sequence[Path], out: Path, console: Console, table: ProfileTable | None = None
) -> Agreement:
    """Compare the live runs of these folders, print the outcome and write it into ``out``.

    Raises:
        ConfigError: a folder that is no live run, or is damaged.
    """
    runs = [load_run(folder) for folder in folders]
    agreement = compare(runs, table or load_profile_table())
    write_agreement(agreement, out)
    print_agreement(agreement, console)
    return agreement
