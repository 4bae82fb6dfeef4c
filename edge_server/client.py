"""The device's side: an executor that runs tasks on an edge server."""

from __future__ import annotations

import socket
import time

import zmq

from edge_server.client_errors import checked_budget
from edge_server.client_hooks import Compressor, LinkObserver
from edge_server.compression import decompress
from edge_server.connection import Connection
from edge_server.exchange import Exchange
from edge_server.protocol import (
    Done,
    ErrorCode,
    Ping,
    Pong,
    Run,
    Stats,
    StatsQuery,
    check_frames,
    new_task_id,
)
from edge_server.security.keys import ClientKeys
from edge_server.server_view import ServerView, Spent
from edge_server.sockets import set_congestion_control
from offload.cancellation import Cancellation
from offload.errors import ConfigError
from offload.types import EdgeState, ExecutionResult, Outcome, TaskInstance

_DEFAULT_WAIT_S = 2.0


class EdgeClient:
    """An :class:`offload.interfaces.Executor` that runs tasks on the server at ``host:port``.

    The threads of its ZeroMQ context start in the network namespace of the thread that makes it.
    One thread at a time may use it. Nothing is sent before the connection stands, and a
    connection that was refused or lost fails a call at once instead of using up its budget.

    Args:
        host: the server's name or address.
        port: its TCP port.
        congestion_control: TCP congestion control of the upload, e.g. ``"bbr"``; None: the
            system's. The server's answers use the server's own.
        max_reply_bytes: largest answer taken.
        observer: told of each ping and each transfer of a finished run.
        keys: for a server that checks them; None: nothing is encrypted, nobody proves who he is.
        compressor: compresses inputs for a server that takes that; None: nothing is compressed.
        context: a ZeroMQ context to share, which then outlives the client; None: one of its own.

    Raises:
        ConfigError: the port is no port, or the kernel refuses the congestion control.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 5555,
        *,
        congestion_control: str | None = None,
        max_reply_bytes: int = 64 * 2**20,
        observer: LinkObserver | None = None,
        keys: ClientKeys | None = None,
        compressor: Compressor | None = None,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        if not 1 <= port <= 65535:
            raise ConfigError(f"port is {port}; it must lie from 1 to 65535")
        if congestion_control is not None:
            with socket.socket() as probe:
                set_congestion_control(probe, congestion_control)
        self._max_reply_bytes = max_reply_bytes
        self._compressor = compressor
        self._server = ServerView(observer)
        self._closed = False
        self._owned = zmq.Context() if context is None else None
        used = self._owned or context
        assert used is not None
        endpoint = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

        def connect() -> Connection:
            self._server.forget_pings()
            return Connection(used, endpoint, congestion_control, max_reply_bytes, keys)

        has_keys = keys is not None
        on_pong = self._server.saw_pong
        self._exchange = Exchange(connect, endpoint, has_keys, max_reply_bytes, on_pong)

    def __enter__(self) -> EdgeClient:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection and whatever is under way; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._exchange.close()
        if self._owned is not None:
            self._owned.term()

    @property
    def late_replies(self) -> int:
        """Answers that came after their request was given up, and were dropped."""
        return self._exchange.late_replies

    @property
    def resets(self) -> int:
        """Connections dropped because an abandoned request was still being sent."""
        return self._exchange.resets

    def execute(
        self,
        task: TaskInstance,
        payload: bytes,
        budget_s: float,
        *,
        attempt: int = 1,
        task_id: bytes | None = None,
        cancellation: Cancellation | None = None,
    ) -> ExecutionResult:
        """Run ``task`` on the server.

        Args:
            task: its kind travels; size and seed are the caller's own record.
            payload: the encoded input.
            budget_s: longest wait for the answer, connecting included.
            attempt: 1 for the first try of this task.
            task_id: the same in each attempt; None: a new one.
            cancellation: by which another thread may end the call; None: the budget ends it.

        Returns:
            The answer with its measured seconds: ``upload_s`` (with connecting and compressing),
            ``queue_s`` (all time in the server that is not the task), ``compute_s``,
            ``download_s``; their sum is the time this call took. Joules are 0: the energy model
            fills them in.

        The server is told when the call is given up, so that it stops as well.

        Raises:
            RemoteCancelled: the caller wished so, or made a later attempt on another connection.
            RemoteTimeout: no answer within the budget (said by the clock here, or by the server:
                ``expired``, ``overrun``); :class:`offload.errors.RemoteDisconnected` where the
                server cannot be reached, or the connection broke.
            RemoteBusy: the server's queue is full.
            RemoteFailure: the server answered with any other error code; ``unauthorised``, it did
                not let this client in.
            ConfigError: ``budget_s`` is not a number.
        """
        asked = (task, payload, budget_s, attempt, task_id or new_task_id())
        if cancellation is None:
            return self._execute(*asked)
        with self._exchange.wish.heard(cancellation):
            return self._execute(*asked)

    def execute_until(
        self, task: TaskInstance, payload: bytes, budget_s: float, cancellation: Cancellation
    ) -> ExecutionResult:
        """See :class:`offload.interfaces.CancellableExecutor`."""
        return self.execute(task, payload, budget_s, cancellation=cancellation)

    def ping(self, timeout_s: float = _DEFAULT_WAIT_S) -> float:
        """Round-trip seconds of an empty message, the server's own time taken off.

        Raises:
            RemoteTimeout: no answer within ``timeout_s``.
        """
        deadline_s = time.monotonic() + checked_budget(timeout_s)
        self._exchange.wait_connected(deadline_s)
        self._exchange.reply_to(self._send_ping(), Pong, deadline_s)
        return self._server.rtt_s

    def probe_uplink(self, n_bytes: int, timeout_s: float = _DEFAULT_WAIT_S) -> None:
        """Ping with some ballast, so that the observer learns what the uplink carries.

        Raises:
            RemoteTimeout: no answer within ``timeout_s``.
        """
        deadline_s = time.monotonic() + checked_budget(timeout_s)
        self._exchange.wait_connected(deadline_s)
        self._exchange.reply_to(self._send_ping(n_bytes), Pong, deadline_s)

    def stats(self, timeout_s: float = _DEFAULT_WAIT_S) -> Stats:
        """The server's counters.

        Raises:
            RemoteTimeout: no answer within ``timeout_s``.
        """
        deadline_s = time.monotonic() + checked_budget(timeout_s)
        self._exchange.wait_connected(deadline_s)
        query = StatsQuery(self._exchange.next_id())
        self._exchange.send(query)
        return self._exchange.reply_to(query, Stats, deadline_s)[0]

    def reconnect(self) -> None:
        """Drop the connection and make another: what the kernel still retries is given up."""
        self._exchange.reset()

    def edge_state(self) -> EdgeState:
        """Queueing at the server as last seen, by a ping or a run; of infinite age before any."""
        return self._server.edge_state()

    def clock_offset_s(self) -> float:
        """The server's clock minus ours, from the quickest of the last pings; 0 before any."""
        return self._server.clock.offset_s

    def congestion_control(self) -> str | None:
        """The congestion control of the connection as the kernel has it; None: not connected."""
        self._exchange.connection.update()
        return self._exchange.connection.congestion_control()

    def acknowledged_bytes(self) -> int | None:
        """Bytes of the connection that the server's kernel has; None: unknown. Any thread."""
        return self._exchange.connection.acknowledged_bytes()

    def _send_ping(self, ballast_bytes: int = 0) -> Ping:
        ping = Ping(self._exchange.next_id())
        self._server.sent_ping(ping.id, ballast_bytes)
        self._exchange.send(ping, bytes(ballast_bytes))
        return ping

    def _execute(
        self, task: TaskInstance, payload: bytes, budget_s: float, attempt: int, task_id: bytes
    ) -> ExecutionResult:
        start_s = time.monotonic()
        deadline_s = start_s + checked_budget(budget_s)
        if self._server.max_payload_bytes is not None:  # do not send in vain
            check_frames([0, len(payload)], self._server.max_payload_bytes)
        self._exchange.wait_connected(deadline_s)
        if self._server.clock.is_old(start_s):
            self._send_ping()
        sent, zstd_bytes = payload, 0
        if self._compressor is not None and self._server.takes_zstd:
            sent, zstd_bytes = self._compressor.pack(task.kind, payload)
        sent_s = time.monotonic()
        request = Run(
            self._exchange.next_id(),
            task.kind,
            max(0, int((deadline_s - sent_s) * 1000)),
            task_id,
            attempt,
            zstd_bytes,
            self._compressor is not None and self._compressor.wants_answers(task.kind),
        )
        self._exchange.send(request, sent)
        reply, received = self._exchange.reply_to(request, Done, deadline_s)
        end_s = back_s = time.monotonic()
        output = received
        if reply.zstd_bytes:
            output = decompress(
                received, reply.zstd_bytes, request_id=reply.id, code=ErrorCode.BAD_REPLY
            )
            end_s = time.monotonic()
        spent = Spent(start_s, sent_s, back_s, end_s, len(sent), len(received))
        cost = self._server.saw_answer(reply.times, spent)
        if self._compressor is not None:
            self._compressor.saw_answer(task.kind, output)
        return ExecutionResult(Outcome.REMOTE_OK, output, cost)
