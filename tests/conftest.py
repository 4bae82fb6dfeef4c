"""What holds for every test: signals as at a terminal, a second try for what is measured, and
which tests need the machine to themselves.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

ALONE = ("netem", "edge_server", "testbed")
"""Folders whose every test is marked ``alone``: links, servers, and looks for what they left."""

if "PYTEST_XDIST_WORKER" in os.environ:  # as many workers as cores: each has one, and no more
    os.environ["OMP_NUM_THREADS"] = "1"

# A shell's background ignores SIGINT, nohup SIGHUP, and the programs that tests start and signal
# would inherit that. Handlers are not inherited: after exec the signal ends a program again.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)


# First, so that ``-m alone`` and ``-m "not alone"`` choose by the marks that are set here.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test marked ``measured`` fails when it fails twice; the first time is in the summary.

    Its bounds are a few standard errors wide, and a busy machine may hold up anything. Beside
    other tests it would measure those: it is ``alone``, as is all that opens a link.
    """
    again = pytest.mark.flaky(
        reruns=1, reruns_delay=1, only_rerun=["AssertionError", "TimeoutError"]
    )
    here = Path(__file__).parent
    for item in items:
        measured = item.get_closest_marker("measured") is not None
        if measured:
            item.add_marker(again)
        folder = item.path.relative_to(here).parts[0]
        if measured or folder in ALONE or item.get_closest_marker("uml") is not None:
            item.add_marker("alone")
