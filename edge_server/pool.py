"""What an app holds: several connections to one server, watched, with retries that are bounded."""

from __future__ import annotations

import math
import random
import threading
import time
from dataclasses import dataclass, replace

import zmq

from edge_server.client import Compressor, EdgeClient, LinkObserver
from edge_server.lanes import Lanes
from edge_server.protocol import new_task_id
from edge_server.refusal import checked_budget
from edge_server.retry_budget import RETRY_SHARE, RetryBudget
from edge_server.security.keys import ClientKeys
from offload.errors import ConfigError, RemoteBusy, RemoteDisconnected, RemoteError, RemoteFailure
from offload.types import EdgeState, ExecutionResult, TaskInstance

_DOWN_BEAT_S = 0.1
_PROBE_BYTES = 32_768
_PROBE_EVERY_S = 30.0  # 9 kbit/s
_PROBE_TIMEOUT_S = 5.0
_FIRST_BACK_OFF_S = 0.05
_LONGEST_BACK_OFF_S = 1.0
_MOST_ATTEMPTS = 100  # what the protocol can say


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Settings of an :class:`EdgePool`.

    Attributes:
        connections: requests that may be under way at once; no more than half of them large.
        heartbeat_s: between two pings of idle connections.
        heartbeat_timeout_s: a ping unanswered for this long, while nothing else is heard from the
            server or taken by the link, means that it is down. Slower links get four round trips.
        retry_share: retries for each request, 0 to 1.
        seed: of the jitter of retries; None: not repeatable.
    """

    connections: int = 4
    heartbeat_s: float = 0.5
    heartbeat_timeout_s: float = 1.0
    retry_share: float = RETRY_SHARE
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check every bound.

        Raises:
            ConfigError: a setting lies outside its bounds.
        """
        bounds: tuple[tuple[str, float, float, float], ...] = (
            ("connections", self.connections, 2, 64),
            ("heartbeat_s", self.heartbeat_s, 0.01, 60),
            ("heartbeat_timeout_s", self.heartbeat_timeout_s, 0.01, 60),
            ("retry_share", self.retry_share, 0, 1),
        )
        for name, value, low, high in bounds:
            if not low <= value <= high:
                raise ConfigError(f"{name} is {value}; it must lie from {low} to {high}")


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
        except ConfigError:
            self._context.destroy(linger=0)
            raise
        self._lanes = Lanes(self._clients)
        self._budget = RetryBudget(self._config.retry_share)
        self._jitter = random.Random(self._config.seed)
        self._lock = threading.Lock()
        self.requests = self.retries = 0
        self._heard_s = time.monotonic()
        self._rtt_s = 0.0
        self._watched = observer is not None
        self._probed_s = -math.inf
        self._down: tuple[float, str] | None = None
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._keep_watch, name="heartbeat", daemon=True)
        self._watch.start()

    def __enter__(self) -> EdgePool:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop every connection; call it when no task is under way. May be called twice."""
        if self._context.closed:
            return
        self._closing.set()
        self._watch.join()
        for client in self._clients:
            client.close()
        self._context.term()

    @property
    def why_down(self) -> str:
        """Why tasks are not sent at present; empty while the server answers."""
        down = self._down
        return "" if down is None else f"{down[1]}, {time.monotonic() - down[0]:.1f} s ago"

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
        asked_s = time.monotonic()
        deadline_s = asked_s + checked_budget(budget_s)
        self._budget.saw_request()
        with self._lock:
            self.requests += 1
        task_id = new_task_id()
        attempt = 1
        while True:
            try:
                return self._attempt(task, payload, asked_s, deadline_s, attempt, task_id)
            except (RemoteBusy, RemoteDisconnected) as error:
                if not self._may_retry(error, attempt, deadline_s):
                    raise
            attempt += 1

    def _attempt(
        self,
        task: TaskInstance,
        payload: bytes,
        asked_s: float,
        deadline_s: float,
        attempt: int,
        task_id: bytes,
    ) -> ExecutionResult:
        if self._down is not None:
            raise RemoteDisconnected(f"{self._where} is down: {self.why_down}")
        with self._lanes.lane(len(payload), deadline_s) as client:
            began_s = time.monotonic()
            try:
                done = client.execute(
                    task, payload, deadline_s - began_s, attempt=attempt, task_id=task_id
                )
            except (RemoteBusy, RemoteFailure):
                self._heard_s = time.monotonic()  # a refusal is a sign of life
                raise
        self._heard_s = time.monotonic()
        waited_s = began_s - asked_s
        return replace(done, cost=replace(done.cost, queue_s=done.cost.queue_s + waited_s))

    def _may_retry(self, error: RemoteError, attempt: int, deadline_s: float) -> bool:
        """Wait as long as is right before the next attempt; False: there is to be none."""
        back_off_s = min(_LONGEST_BACK_OFF_S, _FIRST_BACK_OFF_S * 2 ** (attempt - 1))
        if isinstance(error, RemoteBusy) and error.retry_after_s:
            back_off_s = error.retry_after_s
        wait_s = back_off_s * self._jitter.uniform(1.0, 1.5)
        if self._down is not None or attempt >= _MOST_ATTEMPTS:
            return False
        if time.monotonic() + wait_s >= deadline_s or not self._budget.take():
            return False
        with self._lock:
            self.retries += 1
        return not self._closing.wait(wait_s)

    def _keep_watch(self) -> None:
        pause_s = 0.0
        while not self._closing.wait(pause_s):
            with self._lanes.longest_idle() as client:
                if client is not None:
                    self._beat(client)
            pause_s = self._config.heartbeat_s if self._down is None else _DOWN_BEAT_S

    def _probe(self, client: EdgeClient) -> None:
        """Have the observer know the uplink though no task has used it for a while."""
        self._probed_s = time.monotonic()
        try:
            client.probe_uplink(_PROBE_BYTES, _PROBE_TIMEOUT_S)
        except RemoteError:
            return  # the next ping tells whether that was the link's end or its slowness

    def _beat(self, client: EdgeClient) -> None:
        """Ping once, and draw the conclusion."""
        began_s = time.monotonic()
        sending = self._lanes.sending()
        try:
            self._rtt_s = client.ping(max(self._config.heartbeat_timeout_s, 4.0 * self._rtt_s))
        except RemoteError as error:
            moved = any(sending.get(which) != n for which, n in self._lanes.sending().items())
            if self._heard_s < began_s and not moved:
                self._went_down(error)
            return
        self._heard_s = time.monotonic()
        self._down = None
        if self._watched and self._heard_s - self._probed_s > _PROBE_EVERY_S:
            self._probe(client)

    def _went_down(self, error: RemoteError) -> None:
        if self._down is not None:
            return
        self._down = (time.monotonic(), str(error))
        # What the kernel sends again, it does at doubling intervals: a link that healed would not
        # be noticed for as long as it was away.
        self._lanes.renew()
