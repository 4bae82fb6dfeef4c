"""Threads for tasks whose futures can be cancelled while they run."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from client_library.report import TaskReport
from offload.cancellation import Cancellation


class TaskThreads:
    """As many threads as tasks may be under way; further ones wait their turn.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="offloader")

    def submit(self, run: Callable[[Cancellation], TaskReport]) -> Future[TaskReport]:
        """Have a thread run a task.

        The future counts as pending until it has its result, so it can be cancelled that long; the
        task is told.
        """
        future: Future[TaskReport] = Future()
        cancellation = Cancellation()
        future.add_done_callback(lambda ended: cancellation.cancel() if ended.cancelled() else None)
        self._threads.submit(_fulfil, future, run, cancellation)
        return future

    def close(self) -> None:
        """Wait for every task."""
        self._threads.shutdown()


def _fulfil(
    future: Future[TaskReport],
    run: Callable[[Cancellation], TaskReport],
    cancellation: Cancellation,
) -> None:
    report, error = None, None
    try:
        if not cancellation.wished:
            report = run(cancellation)
    except BaseException as raised:  # it is the caller's, as from any future
        error = raised
    if not future.set_running_or_notify_cancel():
        return
    if report is None:
        future.set_exception(error)
    else:
        future.set_result(report)
