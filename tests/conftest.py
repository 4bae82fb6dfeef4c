"""What holds for every test: signals as at a terminal, a second try for what is measured, which
tests need the machine to themselves, and which of the others must not run beside each other.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

ALONE = ("edge_server",)
"""Folders whose every test is marked ``alone``."""
LINKS = ("netem", "testbed")
"""Folders whose every test is marked ``links``: looks for leftovers must not find another's."""

WORKER = "PYTEST_XDIST_WORKER" in os.environ
if WORKER:  # there are as many as cores, and one: each computes on one, and no more
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
    other tests it would measure those, so it is ``alone``. Where tests run side by side, all
    ``links`` are one worker's, and so is each file's rest; the longest begin first.
    """
    again = pytest.mark.flaky(
        reruns=1, reruns_delay=1, only_rerun=["AssertionError", "TimeoutError"]
    )
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        if item.get_closest_marker("measured") is not None:
            item.add_marker(again)
            item.add_marker("alone")
        if folder in ALONE:
            item.add_marker("alone")
        if folder in LINKS:
            item.add_marker("links")
        if WORKER:
            item.add_marker(pytest.mark.xdist_group(_group(item)))
    if WORKER:
        first = ("links", "test_documented_commands")
        order = {name: place for place, name in enumerate(first)}
        items.sort(key=lambda item: order.get(_group(item), len(order)))


def _group(item: pytest.Item) -> str:
    """Tests of one name run on one worker, one after the other."""
    return "links" if item.get_closest_marker("links") is not None else item.path.stem
