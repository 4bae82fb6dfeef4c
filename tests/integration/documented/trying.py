"""Runs a row of the tables, and looks at what came of it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from documented import ROWS
from documented.finder import options_of, program_of, words_of
from documented.made import Made
from documented.row import Run
from documented.running import run_program, start_program


def parameters(kind: type, link: bool = False) -> list[object]:
    """The commands of each row of that kind, and how they are run."""
    return [
        pytest.param(commands, how, id=commands[0].removeprefix("python "))
        for commands, how in ROWS
        if isinstance(how, kind) and getattr(how, "link", False) == link
    ]


def check_run(commands: tuple[str, ...], how: Run, made: Made, out: Path) -> None:
    """Run it with ``out`` for a folder; it stands for these commands, and ends well."""
    for command in commands:
        assert program_of(words_of(command)) == program_of(words_of(how.words))
        assert set(options_of(command)) <= set(options_of(how.words)), command
    made.out = out
    words = shlex.split(made.words(how.words))
    done = (start_program if how.process else run_program)(words)
    assert done.code == 0, done.err
    said = " ".join((done.out + done.err).split())
    assert made.words(how.says) in said
    if how.writes:
        assert [path for path in out.glob(how.writes) if path.stat().st_size > 0]
