"""What holds for every test: signals as at a terminal, and a second try for what is measured."""

from __future__ import annotations

import signal

import pytest

# A shell's background ignores SIGINT, nohup SIGHUP, and the programs that tests start and signal
# would inherit that. Handlers are not inherited: after exec the signal ends a program again.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test marked ``measured`` fails when it fails twice; the first time is in the summary.

    Its bounds are a few standard errors wide, and a busy machine may hold up anything.
    """
    again = pytest.mark.flaky(
        reruns=1, reruns_delay=1, only_rerun=["AssertionError", "TimeoutError"]
    )
    for item in items:
        if item.get_closest_marker("measured") is not None:
            item.add_marker(again)
