"""Programs of this repository run as a user runs them, but within this process: no start-up."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[3]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it."""

    code: int
    out: str
    err: str


def run_program(words: Sequence[object]) -> Done:
    """Run ``python WORDS...`` in the repository's root.

    What it does to signals, arguments, the search path and the folder is undone.
    """
    _, *named = map(str, words)
    as_module = named[0] == "-m"
    target, *arguments = named[1:] if as_module else named
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        _signals_kept(),
        contextlib.chdir(ROOT),
        patch.object(sys, "argv", [target, *arguments]),
        patch.object(sys, "path", [str((ROOT / target).parent), *sys.path]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            if as_module:
                runpy.run_module(target, run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(target, run_name="__main__")
        except SystemExit as end:
            code = end.code
    if isinstance(code, str):
        return Done(1, out.getvalue(), f"{err.getvalue()}{code}\n")
    return Done(int(str(code or 0)), out.getvalue(), err.getvalue())


def start_program(words: Sequence[object], limit_s: float = 110.0) -> Done:
    """The same in a process of its own; every ``python`` among the words is this one."""
    named = [sys.executable if word == "python" else str(word) for word in words]
    done = subprocess.run(
        named,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
