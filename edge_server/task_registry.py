"""Which tasks a worker may run, by name: the allow-list is :mod:`offload.tasks`, nothing else.

A worker calls one function ``run_task(kind, payload) -> bytes``. It is imported by the worker, and
it imports the task (and the task its models) only when the first request for it comes, so an idle
server stays small.
"""

from __future__ import annotations

from offload.errors import TaskError


class UnknownKindError(TaskError):
    """A kind that is no task here, or one whose packages or models are not installed."""


def run_task(kind: str, payload: bytes) -> bytes:
    """Run the real task of that name on its encoded input.

    Raises:
        UnknownKindError: no such task on this machine.
        TaskError: the task does not take this payload.
    """
    from offload.tasks import get_task

    try:
        task = get_task(kind)
    except TaskError as error:
        raise UnknownKindError(str(error)) from error
    return task.run(payload)
