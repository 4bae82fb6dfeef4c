"""An executor whose workers are actors of a Ray cluster, so that one server fronts many machines.

Ray starts the workers, carries jobs and results and sees nodes die. What is owed to clients stays
with the server: deadlines, fairness, answers. Ray's own retries are off, since a task that took its
worker with it must not take the next one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from edge_server.executors.base import ExecutorEvent, Finished, Gone, Ready
from edge_server.executors.ray_worker import RayWorker
from edge_server.executors.results import EXPIRED, task_result
from edge_server.jobs import Job, TaskResult
from edge_server.protocol import ErrorCode, clock_name
from offload.ray_connection import connect_ray
from offload.task_function import RunTask, reference

_END_S = 10.0
_RESTART_DELAY_S = 0.5

_log = logging.getLogger(__name__)
_Call: TypeAlias = tuple[Callable[[int, Any], None], int, Job | None]
_News: TypeAlias = tuple[int, Literal["ready", "result", "ended"], Any, BaseException | None]


@dataclass(slots=True)
class _Worker:
    """One actor, as the server's thread knows it.

    Attributes:
        pid: of its process, once it is ready and if that is on this machine.
        running: it was given a job whose result has not come.
        ended: Ray says that it is dead; told only after the result it may have left.
    """

    was_ready: bool = False
    pid: int | None = None
    running: bool = False
    ended: bool = False


class RayExecutor:
    """Workers on an existing Ray cluster, spread over its nodes, one CPU each.

    Every call to Ray is made in a thread of its own, since none of the server's may wait.

    Args:
        run_task: what they call; a top-level function of a module that every node can import.
        workers: how many.
        memory_bytes: private writable memory a task may take.
        max_output_bytes: a task with a larger output is answered too_large.
        address: ``HOST:PORT`` of the cluster's head.

    Raises:
        ConfigError: ray is not installed, the address is none, or ``run_task`` cannot be imported.
        BackendError: nothing answers there, or it has fewer CPUs than workers.
    """

    start_s = 120.0  # a cluster may have to start processes, or wait for a CPU
    ahead = 0

    def __init__(
        self,
        run_task: RunTask,
        workers: int,
        memory_bytes: int,
        max_output_bytes: int,
        address: str,
    ) -> None:
        self.capacity = workers
        self._arguments = reference(run_task), memory_bytes, max_output_bytes
        self._ray = connect_ray(address, workers)
        self._workers: dict[int, _Worker] = {}
        self._started = 0
        self._replacing = True
        self._restart_at_s: float | None = None
        self._clock_name = clock_name()
        self._news: deque[_News] = deque()
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._actors: dict[int, Any] = {}  # the thread's alone
        self._telling = threading.Lock()
        self._left = False
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._make_calls, name="ray calls", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Ask for the missing workers."""
        while len(self._workers) < self.capacity:
            number = self._started
            self._started += 1
            self._workers[number] = _Worker()
            self._calls.put((self._create, number, None))

    def fileno(self) -> int:
        """An eventfd."""
        return self._eventfd

    def wake_at_s(self) -> float | None:
        """When workers that are missing are asked for again."""
        return self._restart_at_s

    def events(self) -> list[ExecutorEvent]:
        """What Ray has told since; workers that are missing are asked for when it is time."""
        events: list[ExecutorEvent] = []
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._eventfd)
        while self._news:
            self._take(self._news.popleft(), events)
        if self._restart_at_s is not None and time.monotonic() >= self._restart_at_s:
            self._restart_at_s = None
            self.start()
        return events

    def submit(self, worker: int, job: Job) -> None:
        """Have the thread send the job."""
        if worker in self._workers:
            self._workers[worker].running = True
            self._calls.put((self._send, worker, job))

    def flush(self) -> None:
        """Nothing is held back."""

    def kill(self, worker: int) -> None:
        """Have Ray end the worker's process."""
        if worker in self._workers:
            self._calls.put((self._end, worker, None))

    def stop_replacing(self) -> None:
        """Ask for no more workers."""
        self._replacing = False
        self._restart_at_s = None

    def close(self) -> None:
        """End every worker, wait for that, and leave the cluster."""
        if not self._thread.is_alive():
            return
        self.stop_replacing()
        for worker in self._workers:
            self.kill(worker)
        deadline_s = time.monotonic() + _END_S
        while self._workers and time.monotonic() < deadline_s:
            self.events()
            time.sleep(0.01)
        self._calls.put(None)
        self._thread.join()
        self._ray.shutdown()
        with self._telling:
            self._left = True
        os.close(self._eventfd)

    def pids(self) -> list[int]:
        """Process ids of the workers on this machine."""
        return [worker.pid for worker in self._workers.values() if worker.pid is not None]

    def _take(self, news: _News, events: list[ExecutorEvent]) -> None:
        number, what, value, error = news
        worker = self._workers.get(number)
        if worker is None:
            return
        if what == "ready" and error is None:
            worker.was_ready = True
            pid, clock = value
            worker.pid = pid if clock == self._clock_name else None
            events.append(Ready(number))
        elif what == "result" and error is None:
            worker.running = False
            events.append(Finished(number, value))
        elif what == "ended":
            worker.ended = True
        else:  # it could not start, or went with its job
            worker.running, worker.ended = False, True
        if worker.ended and not worker.running:
            self.kill(number)  # if it is only out of reach, it is not to come back
            del self._workers[number]
            events.append(Gone(number, worker.was_ready))
            if self._replacing:
                delay_s = 0.0 if worker.was_ready else _RESTART_DELAY_S
                self._restart_at_s = time.monotonic() + delay_s

    def _make_calls(self) -> None:
        """The thread: every call to Ray, in the order the server asked for them."""
        while (call := self._calls.get()) is not None:
            function, number, job = call
            try:
                function(number, job)
            except Exception as error:  # whatever Ray raises is the end of that worker only
                _log.exception("worker %d on the Ray cluster", number)
                self._tell(number, "ready", None, error)

    def _tell(self, *news: Any) -> None:
        with self._telling:
            if not self._left:
                self._news.append(news)
                os.eventfd_write(self._eventfd, 1)

    def _create(self, number: int, _: None) -> None:
        actor_class = self._ray.remote(
            num_cpus=1,
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={"life": 1},
            scheduling_strategy="SPREAD",
        )(RayWorker)
        actor = self._actors[number] = actor_class.remote(*self._arguments)
        life = actor.live.options(concurrency_group="life").remote()
        self._when_done(number, "ready", actor.who.remote())
        self._when_done(number, "ended", life)

    def _send(self, number: int, job: Job) -> None:
        if time.monotonic() >= job.deadline_s:
            self._tell(number, "result", EXPIRED, None)
            return
        call = self._actors[number].run.remote(
            job.kind, bytes(job.payload), job.zstd_bytes, job.accept_zstd
        )
        self._when_done(number, "result", call)

    def _end(self, number: int, _: None) -> None:
        actor = self._actors.pop(number, None)
        if actor is not None:
            self._ray.kill(actor)

    def _when_done(
        self, number: int, what: Literal["ready", "result", "ended"], reference: Any
    ) -> None:
        def tell(done: Any) -> None:
            error = done.exception()
            value = None if error is not None else done.result()
            if what == "result":
                value, error = self._result(value, error)
            self._tell(number, what, value, error)

        reference.future().add_done_callback(tell)

    def _result(
        self, value: Any, error: BaseException | None
    ) -> tuple[TaskResult | None, BaseException | None]:
        """A call's outcome; an error of the worker's own code is a result, a lost one is not."""
        if error is None:
            return task_result(*value), None
        if isinstance(error, self._ray.exceptions.RayTaskError):
            return TaskResult(code=ErrorCode.TASK_FAILED, message=str(error.cause)), None
        return None, error
