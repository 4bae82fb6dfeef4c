"""What holds for every test: signals as at a terminal, a second try for what is measured, which
tests need the machine to themselves, and which of the others must not run beside each other.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ALONE = (
    "edge_server/security/test_held_back.py",
    "edge_server/test_edge_client.py",
    "edge_server/test_edge_pool",
    "edge_server/test_edge_server.py",
    "edge_server/test_server_faults.py",
    "edge_server/test_server_load.py",
)
"""Every test of these is marked ``alone``."""
LINKS = (
    "netem/",
    "testbed/",
    "evidence/test_drive_live.py",
    "evidence/test_suite_live.py",
    "evidence/test_sweep_live.py",
    "integration/test_documented_links.py",
    "integration/test_evaluate_live.py",
    "integration/test_evaluate_proxy.py",
    "integration/test_evaluate_void.py",
)
"""These open links or look for what links leave: beside others, but not beside each other."""
EARLY = ("links", "evidence/test_chaos_suite.py", "integration/test_documented_commands.py")
"""What takes longest begins first."""

WORKER = "PYTEST_XDIST_WORKER" in os.environ
if WORKER:  # there are as many as cores, and one: each computes on one, and no more
    os.environ["OMP_NUM_THREADS"] = "1"

# A shell's background ignores SIGINT, nohup SIGHUP, and the programs that tests start and signal
# would inherit that. Handlers are not inherited: after exec the signal ends a program again.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)


def _group(nodeid: str) -> str:
    """Tests of one group run on one worker, one after the other: all of links, else a file's."""
    path = nodeid.partition("::")[0].removeprefix("tests/")
    return "links" if path.startswith(LINKS) else path


# First, so that ``-m alone`` and ``-m "not alone"`` choose by the marks that are set here.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test marked ``measured`` fails when it fails twice; the first time is in the summary.

    Its bounds are a few standard errors wide, and a busy machine may hold up anything. Beside
    other tests it would measure those, so it is ``alone``.
    """
    again = pytest.mark.flaky(
        reruns=1, reruns_delay=1, only_rerun=["AssertionError", "TimeoutError"]
    )
    for item in items:
        measured = item.get_closest_marker("measured") is not None
        if measured:
            item.add_marker(again)
        if measured or item.path.relative_to(HERE).as_posix().startswith(ALONE):
            item.add_marker("alone")
    if WORKER:
        place = {name: number for number, name in enumerate(EARLY)}
        items.sort(key=lambda item: place.get(_group(item.nodeid), len(place)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Side by side, whole groups go to workers, in the order of collection.

    xdist's own groups (``--dist loadgroup``) do nothing with pytest 9.2, and say nothing.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return ByGroup(config, log)
