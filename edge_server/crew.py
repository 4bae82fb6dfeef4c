"""Between the dispatcher, which decides, and the executor, which runs."""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable

from edge_server.dispatcher import Dispatcher
from edge_server.executors.base import Executor, Finished, Ready
from edge_server.jobs import Answer, Instruction, Job, Start, TaskResult
from offload.errors import BackendError

_log = logging.getLogger(__name__)


class Crew:
    """Carries out instructions, and tells the dispatcher what became of the workers.

    Args:
        executor: runs the tasks.
        dispatcher: decides.
        answer: sends what became of a job.

    Attributes:
        replaced: workers that ended.
    """

    def __init__(
        self,
        executor: Executor,
        dispatcher: Dispatcher,
        answer: Callable[[Job, TaskResult], None],
    ) -> None:
        self._executor = executor
        self._dispatcher = dispatcher
        self._answer = answer
        self.replaced = 0

    def start(self) -> None:
        """Start the workers and wait until each is ready.

        Raises:
            BackendError: a worker ended before it was ready, or took too long.
        """
        self._executor.start()
        limit_s = self._executor.start_s
        deadline_s = time.monotonic() + limit_s
        news = select.poll()
        news.register(self._executor.fileno(), select.POLLIN)
        while self._dispatcher.ready < self._executor.capacity:
            if time.monotonic() > deadline_s:
                raise BackendError(f"the workers were not ready after {limit_s:g} s")
            news.poll(100)
            self.hear()
            if self.replaced:
                raise BackendError("a worker process ended before it was ready")

    @property
    def is_due(self) -> bool:
        """The executor is to be heard though it has no news."""
        wake_s = self._executor.wake_at_s()
        return wake_s is not None and time.monotonic() >= wake_s

    def hear(self) -> None:
        """Take in what has happened to the workers, and do what follows from it."""
        now_s = time.monotonic()
        for event in self._executor.events():
            if isinstance(event, Finished):
                self.act(self._dispatcher.worker_result(event.worker, event.result, now_s))
            elif isinstance(event, Ready):
                self.act(self._dispatcher.worker_ready(event.worker, now_s))
            else:
                _log.warning("worker %d has ended; another takes its place", event.worker)
                self.replaced += 1
                self.act(self._dispatcher.worker_gone(event.worker, now_s))

    def act(self, instructions: list[Instruction]) -> None:
        """Do what the dispatcher says."""
        for instruction in instructions:
            if isinstance(instruction, Answer):
                self._answer(instruction.job, instruction.result)
            elif isinstance(instruction, Start):
                self._executor.submit(instruction.worker, instruction.job)
            else:
                self._executor.kill(instruction.worker)
