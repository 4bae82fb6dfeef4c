"""Tasks that have ended the process they ran in, or may have: none runs where that would hurt."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Protocol, runtime_checkable

from offload.errors import OffloadError, RemoteError, RemoteFailure
from offload.interfaces import Executor
from offload.types import TaskInstance

KILLED_ITS_WORKER = frozenset({"worker_died", "quarantined", "out_of_memory"})
"""The server's error codes for a task that took, or would take, its worker with it."""
_MOST_KNOWN = 1024


@runtime_checkable
class IsolatedExecutor(Protocol):
    """An executor that says whether a task that crashes takes the caller's process with it.

    A local executor that runs each task in a process of its own sets ``isolated`` to True. One
    without the attribute counts as not isolated.
    """

    isolated: bool


class Poison:
    """Remembers the last thousand inputs that killed a server's worker. Any thread.

    Args:
        local: where tasks would run on the device; where that is isolated, nothing is refused.

    Attributes:
        isolated: it is.
    """

    def __init__(self, local: Executor) -> None:
        self.isolated = isinstance(local, IsolatedExecutor) and local.isolated is True
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def saw(self, task: TaskInstance, payload: bytes, error: RemoteError) -> None:
        """The edge refused a task; remember it if it killed its worker."""
        if self.isolated or not (
            isinstance(error, RemoteFailure) and error.code in KILLED_ITS_WORKER
        ):
            return
        with self._lock:
            self._known[_name(task, payload)] = None
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)

    def check(self, task: TaskInstance, payload: bytes, *, unanswered: bool = False) -> None:
        """Refuse to run in this very process what has killed another, or may have.

        Args:
            unanswered: the edge was asked to run it, and what became of it is not known.

        Raises:
            OffloadError: so it is.
        """
        if unanswered and not self.isolated:
            raise OffloadError(
                "not run locally: the edge was asked and has not answered, so it may have killed "
                "a worker there, and the local executor shares this process"
            )
        with self._lock:
            if self._known and _name(task, payload) in self._known:
                raise OffloadError(
                    "not run locally: it killed a worker of the server, "
                    "and the local executor shares this process"
                )


def _name(task: TaskInstance, payload: bytes) -> bytes:
    return hashlib.sha256(task.kind.encode() + b"\0" + payload).digest()
