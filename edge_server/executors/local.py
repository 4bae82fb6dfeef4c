"""The executor the server has by default: worker processes of its own on this machine.

No thread and no lock is involved: the channels and ends of all workers are one epoll descriptor,
which the server's loop watches beside its sockets.
"""

from __future__ import annotations

import logging
import select
import time

from edge_server.executors.base import ExecutorEvent, Finished, Gone, Ready
from edge_server.executors.process import WorkerProcess
from edge_server.jobs import Job
from offload.task_function import RunTask, reference

_RESTART_DELAY_S = 0.5
_log = logging.getLogger(__name__)


class LocalExecutor:
    """A number of worker processes, each killed and replaced without harm to the others.

    Args:
        run_task: what they call; a top-level function of an importable module.
        workers: how many.
        memory_bytes: private writable memory one of them may have.
        max_output_bytes: a task with a larger output is answered too_large.
        ahead: short jobs one of them may hold behind the one it runs.

    Raises:
        ConfigError: ``run_task`` cannot be imported.
    """

    def __init__(
        self,
        run_task: RunTask,
        workers: int,
        memory_bytes: int,
        max_output_bytes: int,
        *,
        ahead: int = 16,
    ) -> None:
        self.capacity = workers
        self.start_s = 30.0
        self.ahead = ahead
        self._run_task = reference(run_task)
        self._limits = memory_bytes, max_output_bytes
        self._workers: dict[int, WorkerProcess] = {}
        self._by_descriptor: dict[int, WorkerProcess] = {}
        self._unsent: set[WorkerProcess] = set()
        self._watching_output: set[int] = set()
        self._started = 0
        self._replacing = True
        self._restart_at_s: float | None = None
        self._epoll = select.epoll()

    def start(self) -> None:
        """Start the workers that are missing.

        Raises:
            OSError: there is no descriptor or no process to be had.
        """
        while len(self._workers) < self.capacity:
            self._start_one()

    def fileno(self) -> int:
        """The epoll descriptor."""
        return self._epoll.fileno()

    def wake_at_s(self) -> float | None:
        """When a worker that could not start is tried again."""
        return self._restart_at_s

    def events(self) -> list[ExecutorEvent]:
        """What polling the workers says; workers that are missing are started when it is time."""
        events: list[ExecutorEvent] = []
        for descriptor, flags in self._epoll.poll(0):
            worker = self._by_descriptor.get(descriptor)
            if worker is None:  # its end was taken in by an earlier event of the same poll
                continue
            if descriptor == worker.pidfd:
                self._read(worker, events)  # a result written before the end still counts
                events.append(self._reap(worker))
                continue
            if flags & select.EPOLLOUT:
                self._flush(worker)
            if flags & ~select.EPOLLOUT:
                self._read(worker, events)
        # Not before: a new worker may get a descriptor that an event of this poll is about.
        if self._restart_at_s is not None and time.monotonic() >= self._restart_at_s:
            self._restart_at_s = None
            self._replace()
        return events

    def submit(self, worker: int, job: Job) -> None:
        """Put the job into the worker's channel with the next :meth:`flush`."""
        process = self._workers.get(worker)
        if process is not None:
            process.submit(job)
            self._unsent.add(process)

    def flush(self) -> None:
        """Write what was submitted; what a channel does not take now goes out on polling."""
        while self._unsent:
            self._flush(self._unsent.pop())

    def kill(self, worker: int) -> None:
        """Kill the worker's process group."""
        if worker in self._workers:
            self._workers[worker].kill()

    def stop_replacing(self) -> None:
        """Start no more workers."""
        self._replacing = False
        self._restart_at_s = None

    def close(self) -> None:
        """Kill every worker and wait for its end."""
        self.stop_replacing()
        for worker in list(self._workers.values()):
            worker.kill()
        for worker in list(self._workers.values()):
            self._reap(worker)
        self._epoll.close()

    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [worker.process.pid for worker in self._workers.values()]

    def _replace(self) -> None:
        """Start the workers that are missing; where the system refuses, try again later."""
        try:
            self.start()
        except OSError as error:
            _log.error("no worker can be started, for now: %s", error)
            self._restart_at_s = time.monotonic() + _RESTART_DELAY_S

    def _start_one(self) -> None:
        worker = WorkerProcess(self._started, self._run_task, *self._limits)
        self._started += 1
        self._workers[worker.number] = worker
        for descriptor in (worker.channel.fileno(), worker.pidfd):
            self._by_descriptor[descriptor] = worker
            self._epoll.register(descriptor, select.EPOLLIN)

    def _read(self, worker: WorkerProcess, events: list[ExecutorEvent]) -> None:
        was_ready = worker.was_ready
        results = worker.read()
        if worker.was_ready and not was_ready:
            events.append(Ready(worker.number))
        for result in results:
            events.append(Finished(worker.number, result))

    def _flush(self, worker: WorkerProcess) -> None:
        """Write; watch for room only while there is something left to write."""
        if worker.number not in self._workers:
            return
        worker.flush()
        if bool(worker.outgoing) != (worker.number in self._watching_output):
            self._watching_output ^= {worker.number}
            flags = select.EPOLLIN | (select.EPOLLOUT if worker.outgoing else 0)
            self._epoll.modify(worker.channel.fileno(), flags)

    def _reap(self, worker: WorkerProcess) -> Gone:
        for descriptor in (worker.channel.fileno(), worker.pidfd):
            del self._by_descriptor[descriptor]
            self._epoll.unregister(descriptor)
        worker.reap()
        del self._workers[worker.number]
        self._watching_output.discard(worker.number)
        self._unsent.discard(worker)
        if self._replacing:  # one that cannot start is not tried again at once
            delay_s = 0.0 if worker.was_ready else _RESTART_DELAY_S
            self._restart_at_s = time.monotonic() + delay_s
        return Gone(worker.number, worker.was_ready)
