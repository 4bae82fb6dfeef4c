"""What an app holds: several connections to one server, watched, with retries that are bounded."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, replace

import zmq

from edge_server.client import EdgeClient
from edge_server.client_errors import checked_budget
from edge_server.client_hooks import Compressor, LinkObserver
from edge_server.heartbeat import Heartbeat
from edge_server.lanes import Lanes
from edge_server.pool_config import PoolConfig
from edge_server.protocol import new_task_id
from edge_server.retry_budget import RetryBudget
from edge_server.security.keys import ClientKeys
from offload.cancellation import Cancellation
from offload.errors import (
    RemoteBusy,
    RemoteCancelled,
    RemoteDisconnected,
    RemoteError,
    RemoteFailure,
)
from offload.types import EdgeState, ExecutionResult, TaskInstance

_FIRST_BACK_OFF_S = 0.05
_LONGEST_BACK_OFF_S = 1.0
_MOST_ATTEMPTS = 100  # what the protocol can say


class EdgePool:
    """An :class:`offload.interfaces.Executor` for many threads, on several connections.

    Idle connections are pinged, so that a dead server or link is known within ``heartbeat_s`` and
    ``heartbeat_timeout_s``; from then on tasks fail at once instead of using up their budget, until
    a ping is answered again. A request that met a full queue or a broken connection is tried again
    while its budget and the retry budget allow.

    Args:
        host, port, congestion_control, observer, keys, compressor: as for
            :class:`edge_server.client.EdgeClient`.
        config: the settings.

    Attributes:
        requests: tasks given to it.
        retries: attempts beyond the first; at any time at most ``retry_share`` of ``requests``.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 5555,
        *,
        congestion_control: str | None = None,
        observer: LinkObserver | None = None,
        keys: ClientKeys | None = None,
        compressor: Compressor | None = None,
        config: PoolConfig | None = None,
    ) -> None:
        self._config = config or PoolConfig()
        self._where = f"{host}:{port}"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._clients: list[EdgeClient] = []
        try:
            for _ in range(self._config.connections):
                self._clients.append(
                    EdgeClient(
                        host,
                        port,
                        congestion_control=congestion_control,
                        observer=observer,
                        keys=keys,
                        compressor=compressor,
                        context=self._context,
                    )
                )
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self._lanes = Lanes(self._clients)
        self._budget = RetryBudget(self._config.retry_share)
        self._jitter = random.Random(self._config.seed)
        self._lock = threading.Lock()
        self._waking = threading.Condition()
        self._closing = False
        self.requests = self.retries = 0
        self._heartbeat = Heartbeat(self._lanes, self._config, watched=observer is not None)

    def __enter__(self) -> EdgePool:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop every connection; call it when no task is under way. May be called twice."""
        if self._context.closed:
            return
        self._closing = True
        self._wake()
        self._heartbeat.close()
        for client in self._clients:
            client.close()
        self._context.term()

    @property
    def why_down(self) -> str:
        """Why tasks are not sent at present; empty while the server answers."""
        return self._heartbeat.why_down

    @property
    def late_replies(self) -> int:
        """Answers that came after their request was given up, and were dropped."""
        return sum(client.late_replies for client in self._clients)

    def edge_state(self) -> EdgeState:
        """What the newest ping or run of any connection saw of the edge's queue."""
        return min((client.edge_state() for client in self._clients), key=lambda edge: edge.age_s)

    def execute(self, task: TaskInstance, payload: bytes, budget_s: float) -> ExecutionResult:
        """Run ``task`` on the server.

        Returns:
            As :meth:`edge_server.client.EdgeClient.execute`; ``queue_s`` also holds the wait for a
            connection and for attempts that brought nothing.

        Raises:
            RemoteDisconnected: at once, where the server is known to be down.
            RemoteError: as the client's, of the last attempt.
        """
        return self.execute_until(task, payload, budget_s, Cancellation())

    def execute_until(
        self, task: TaskInstance, payload: bytes, budget_s: float, cancellation: Cancellation
    ) -> ExecutionResult:
        """See :class:`offload.interfaces.CancellableExecutor`."""
        asked_s = time.monotonic()
        deadline_s = asked_s + checked_budget(budget_s)
        self._budget.saw_request()
        with self._lock:
            self.requests += 1
        call = _Call(task, payload, asked_s, deadline_s, cancellation, new_task_id())
        attempt = 1
        unanswered = False
        while True:
            try:
                return self._attempt(call, attempt)
            except RemoteError as error:
                error.unanswered = unanswered = unanswered or error.unanswered
                may_help = isinstance(error, RemoteBusy | RemoteDisconnected)
                if not may_help or not self._may_retry(error, call, attempt):
                    raise
            attempt += 1

    def _attempt(self, call: _Call, attempt: int) -> ExecutionResult:
        if self._heartbeat.is_down:
            raise RemoteDisconnected(f"{self._where} is down: {self.why_down}", unanswered=False)
        with self._lanes.lane(len(call.payload), call.deadline_s, call.cancellation) as client:
            began_s = time.monotonic()
            try:
                done = client.execute(
                    call.task,
                    call.payload,
                    call.deadline_s - began_s,
                    attempt=attempt,
                    task_id=call.task_id,
                    cancellation=call.cancellation,
                )
            except (RemoteBusy, RemoteFailure):
                self._heartbeat.heard()  # a refusal is a sign of life
                raise
        self._heartbeat.heard()
        waited_s = began_s - call.asked_s
        return replace(done, cost=replace(done.cost, queue_s=done.cost.queue_s + waited_s))

    def _may_retry(self, error: RemoteError, call: _Call, attempt: int) -> bool:
        """Wait as long as is right before the next attempt; False: there is to be none.

        Raises:
            RemoteCancelled: the caller wants none any more.
        """
        back_off_s = min(_LONGEST_BACK_OFF_S, _FIRST_BACK_OFF_S * 2 ** (attempt - 1))
        if isinstance(error, RemoteBusy) and error.retry_after_s:
            back_off_s = error.retry_after_s
        wait_s = back_off_s * self._jitter.uniform(1.0, 1.5)
        if self._heartbeat.is_down or attempt >= _MOST_ATTEMPTS:
            return False
        if time.monotonic() + wait_s >= call.deadline_s or not self._budget.take():
            return False
        with self._lock:
            self.retries += 1
        with call.cancellation.waking(self._wake), self._waking:
            self._waking.wait_for(lambda: self._closing or call.cancellation.wished, wait_s)
        if call.cancellation.wished:
            raise RemoteCancelled("the caller cancelled it between two attempts")
        return not self._closing

    def _wake(self) -> None:
        with self._waking:
            self._waking.notify_all()


@dataclass(frozen=True, slots=True)
class _Call:
    """One task on its way, the same in each attempt; times are of the monotonic clock."""

    task: TaskInstance
    payload: bytes
    asked_s: float
    deadline_s: float
    cancellation: Cancellation
    task_id: bytes
