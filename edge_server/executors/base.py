"""The seam between the server and whatever runs its tasks.

An executor has a number of workers, each of which runs its jobs one after the other in the order
they were given. The server decides which job goes where and when a worker is killed
(:mod:`edge_server.dispatcher`); the executor starts workers, carries jobs and results, and puts a
new worker in the place of one that has ended.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import msgspec

from edge_server.jobs import Job, TaskResult


class Ready(msgspec.Struct, frozen=True, gc=False):
    """A worker has started and waits for its first job."""

    worker: int


class Finished(msgspec.Struct, frozen=True, gc=False):
    """A worker has the result of the oldest job it was given and has not finished.

    The code ``out_of_memory`` is a worker's last result: it starts no further job.
    """

    worker: int
    result: TaskResult


class Gone(msgspec.Struct, frozen=True, gc=False):
    """A worker has ended, with whatever it had not finished. Its number is never used again.

    Attributes:
        was_ready: False when it never got to start.
    """

    worker: int
    was_ready: bool


ExecutorEvent: TypeAlias = Ready | Finished | Gone


class Executor(Protocol):
    """Where jobs run. The server's one thread makes every call, and none of them may wait.

    Attributes:
        capacity: workers it keeps.
        start_s: how long its first workers may take until they are ready.
        ahead: short jobs a worker may hold behind the one it runs, so that it need not wait for the
            server between two of them; 0 where that gains nothing.
    """

    capacity: int
    start_s: float
    ahead: int

    def start(self) -> None:
        """Start :attr:`capacity` workers; a :class:`Ready` follows for each.

        Raises:
            BackendError: there is nothing to run workers on.
        """
        ...

    def fileno(self) -> int:
        """A descriptor that is readable while :meth:`events` has something to tell."""
        ...

    def wake_at_s(self) -> float | None:
        """When :meth:`events` is to be called even so (monotonic clock); None: no such time."""
        ...

    def events(self) -> list[ExecutorEvent]:
        """What has happened since the last call, each worker's in order.

        Whatever a worker finished is told before its :class:`Gone`.
        """
        ...

    def submit(self, worker: int, job: Job) -> None:
        """Give a worker a job. It may be sent only with the next :meth:`flush`.

        A worker that reaches a job after its deadline does not run it: its result is ``expired``.
        """
        ...

    def flush(self) -> None:
        """Send what was submitted."""
        ...

    def kill(self, worker: int) -> None:
        """End a worker and all that its task started, at once; :class:`Gone` follows."""
        ...

    def stop_replacing(self) -> None:
        """From now on no worker takes the place of one that ends: the server drains."""
        ...

    def close(self) -> None:
        """End every worker and wait for that."""
        ...

    def pids(self) -> list[int]:
        """Process ids of those workers that run on this machine."""
        ...
