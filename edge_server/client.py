"""The device's side: an executor that runs tasks on an edge server."""

from __future__ import annotations

import math
import socket
import time
from collections import deque
from typing import NamedTuple, Protocol, TypeVar

import zmq

from edge_server.connection import Connection, LinkUp
from edge_server.protocol import (
    MAX_BUDGET_MS,
    Done,
    ErrorCode,
    Failed,
    Ping,
    Pong,
    ProtocolError,
    Reply,
    Run,
    Stats,
    StatsQuery,
    Times,
    check_frames,
    clock_name,
    decode_reply,
    encode,
    new_task_id,
)
from edge_server.security.keys import ClientKeys
from edge_server.sockets import ZERO_COPY_BYTES, set_congestion_control
from offload.errors import ConfigError, RemoteBusy, RemoteError, RemoteFailure, RemoteTimeout
from offload.types import EdgeState, ExecutionResult, Outcome, PlacementCost, TaskInstance

_ReplyT = TypeVar("_ReplyT", Done, Pong, Stats)
_CLOCK_CHECK_S = 10.0
_DEFAULT_WAIT_S = 2.0


class _Sample(NamedTuple):
    """One ping: round-trip seconds, and the server's clock minus ours."""

    rtt_s: float
    offset_s: float


class LinkObserver(Protocol):
    """Told what the client's own traffic shows of the link. It is called in the client's thread."""

    def saw_rtt(self, rtt_s: float) -> None:
        """A ping of an idle connection was answered; the server's own time is taken off."""
        ...

    def saw_transfer(self, n_bytes: int, seconds: float, *, uplink: bool) -> None:
        """A message arrived: its bytes, and the seconds since it was handed over for sending."""
        ...


class EdgeClient:
    """An :class:`offload.interfaces.Executor` that runs tasks on the server at ``host:port``.

    It has a ZeroMQ context of its own, whose threads start in the network namespace of the thread
    that makes it. It belongs to one thread. Nothing is sent before the connection stands, and a
    connection that was refused or lost fails a call at once instead of using up its budget.

    Args:
        host: the server's name or address.
        port: its TCP port.
        congestion_control: TCP congestion control of the upload, e.g. ``"bbr"``; None: the
            system's. The server's answers use the server's own.
        max_reply_bytes: largest answer taken.
        observer: told of each ping and each transfer of a finished run.
        keys: for a server that checks them; None: nothing is encrypted, nobody proves who he is.

    Attributes:
        late_replies: answers that came after their request was given up, and were dropped.
        resets: connections dropped because an abandoned request was still being sent.

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
    ) -> None:
        if not 1 <= port <= 65535:
            raise ConfigError(f"port is {port}; it must lie from 1 to 65535")
        if congestion_control is not None:
            with socket.socket() as probe:
                set_congestion_control(probe, congestion_control)
        self._endpoint = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
        self._congestion_control = congestion_control
        self._max_reply_bytes = max_reply_bytes
        self._observer = observer
        self._keys = keys
        self._clock_name = clock_name()
        self._samples: deque[_Sample] = deque(maxlen=8)
        self._sampled_s = -math.inf
        self._pings: dict[int, float] = {}
        self._edge_queue_s = 0.0
        self._edge_seen_s = -math.inf
        self._last_id = 0
        self._losses = 0
        self._max_payload_bytes: int | None = None  # the server's limit, from its first pong
        self.late_replies = 0
        self.resets = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._connection = self._connect()

    def __enter__(self) -> EdgeClient:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection and whatever is under way; may be called twice."""
        if not self._context.closed:
            self._connection.close(abort=True)
            self._context.term()

    def execute(
        self, task: TaskInstance, payload: bytes, budget_s: float, *, attempt: int = 1
    ) -> ExecutionResult:
        """Run ``task`` on the server.

        Args:
            task: its kind travels; size and seed are the caller's own record.
            payload: the encoded input.
            budget_s: longest wait for the answer, connecting included.
            attempt: 1 for the first try of this task.

        Returns:
            The answer with its measured seconds: ``upload_s`` (and connecting), ``queue_s`` (all
            time in the server that is not the task), ``compute_s``, ``download_s``; their sum is
            the time this call took. Joules are 0: the energy model fills them in.

        Raises:
            RemoteTimeout: no answer within the budget (said by the clock here, or by the server:
                ``expired``, ``overrun``), or the server cannot be reached.
            RemoteBusy: the server's queue is full.
            RemoteFailure: the server answered with any other error code; ``unauthorised``, it did
                not let this client in.
            ConfigError: ``budget_s`` is not a number.
        """
        start_s = time.monotonic()
        deadline_s = start_s + _checked_budget(budget_s)
        if self._max_payload_bytes is not None:  # do not send in vain
            check_frames([0, len(payload)], self._max_payload_bytes)
        self._wait_connected(deadline_s)
        if start_s - self._sampled_s > _CLOCK_CHECK_S:
            self._send_ping()
        budget_ms = int((deadline_s - time.monotonic()) * 1000)
        request = Run(self._next_id(), task.kind, max(0, budget_ms), new_task_id(), attempt)
        sent_s = time.monotonic()
        self._send(request, payload, deadline_s)
        reply, output = self._await(Done, request.id, deadline_s)
        end_s = time.monotonic()
        cost = self._split(reply.times, start_s, end_s, len(payload), len(output))
        self._see_edge(reply.times.queue_s, end_s)
        self._report(reply.times, cost, sent_s - start_s, len(payload), len(output))
        return ExecutionResult(Outcome.REMOTE_OK, output, cost)

    def ping(self, timeout_s: float = _DEFAULT_WAIT_S) -> float:
        """Round-trip seconds of an empty message, the server's own time taken off.

        Raises:
            RemoteTimeout: no answer within ``timeout_s``.
        """
        deadline_s = time.monotonic() + _checked_budget(timeout_s)
        self._wait_connected(deadline_s)
        self._await(Pong, self._send_ping(), deadline_s)
        return self._samples[-1].rtt_s

    def stats(self, timeout_s: float = _DEFAULT_WAIT_S) -> Stats:
        """The server's counters.

        Raises:
            RemoteTimeout: no answer within ``timeout_s``.
        """
        deadline_s = time.monotonic() + _checked_budget(timeout_s)
        self._wait_connected(deadline_s)
        query = StatsQuery(self._next_id())
        self._send(query, b"", deadline_s)
        return self._await(Stats, query.id, deadline_s)[0]

    def edge_state(self) -> EdgeState:
        """Queueing at the server as last seen, by a ping or a run; of infinite age before any."""
        return EdgeState(self._edge_queue_s, time.monotonic() - self._edge_seen_s)

    def _see_edge(self, queue_s: float, now_s: float) -> None:
        self._edge_queue_s = queue_s
        self._edge_seen_s = now_s

    def clock_offset_s(self) -> float:
        """The server's clock minus ours, from the quickest of the last pings; 0 before any."""
        return min(self._samples, default=_Sample(0.0, 0.0)).offset_s

    def congestion_control(self) -> str | None:
        """The congestion control of the connection as the kernel has it; None: not connected."""
        self._connection.update()
        return self._connection.congestion_control()

    def _connect(self) -> Connection:
        return Connection(
            self._context,
            self._endpoint,
            self._congestion_control,
            self._max_reply_bytes,
            self._keys,
        )

    def _reset(self) -> None:
        self._connection.close(abort=True)
        self._pings.clear()
        self._connection = self._connect()

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _wait_connected(self, deadline_s: float) -> None:
        self._connection.update()
        while self._connection.state is not LinkUp.READY:
            left_s = deadline_s - time.monotonic()
            if self._connection.state is LinkUp.REFUSED:
                raise RemoteTimeout(self._no_answer())
            if self._connection.state is LinkUp.NOT_LET_IN:
                raise RemoteFailure(ErrorCode.UNAUTHORISED, self._not_let_in())
            if left_s <= 0:
                raise RemoteTimeout(f"no connection to {self._endpoint} within the budget")
            self._connection.poll(left_s)
        self._losses = self._connection.losses

    def _no_answer(self) -> str:
        # A server that cannot read the handshake says nothing, it closes the connection.
        lacks = "it wants keys" if self._keys is None else "it has another key than the given"
        return f"no edge server answers at {self._endpoint}, or {lacks}"

    def _not_let_in(self) -> str:
        if self._keys is None:
            return f"{self._endpoint} wants a client with keys"
        return f"{self._endpoint} checks no keys, or has not authorised this client's"

    def _send_ping(self) -> int:
        request_id = self._next_id()
        self._pings[request_id] = time.monotonic()
        self._send(Ping(request_id), b"", math.inf)
        return request_id

    def _send(self, header: Run | Ping | StatsQuery, payload: bytes, deadline_s: float) -> None:
        socket_ = self._connection.socket
        try:
            socket_.send(encode(header), zmq.NOBLOCK | zmq.SNDMORE)
            socket_.send(payload, zmq.NOBLOCK, copy=len(payload) < ZERO_COPY_BYTES)
        except zmq.Again:
            # The queue is full of what the server does not take: the path is dead.
            self._give_up()
            raise RemoteTimeout(f"{self._endpoint} takes no more data") from None

    def _await(
        self, expected: type[_ReplyT], request_id: int, deadline_s: float
    ) -> tuple[_ReplyT, bytes]:
        """The reply to ``request_id``; pongs are taken in and late replies dropped meanwhile."""
        losses = self._losses
        while True:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                self._give_up()
                raise RemoteTimeout(f"no answer from {self._endpoint} within the budget")
            if not self._connection.poll(left_s):
                if self._connection.losses != losses:
                    self._reset()  # else what was still queued would go to the next server
                    raise RemoteTimeout(f"the connection to {self._endpoint} broke")
                continue
            reply, output = self._receive()
            if isinstance(reply, Pong):
                self._take_pong(reply)
            if isinstance(reply, Failed) and reply.id in (request_id, 0):
                raise _error(reply)
            if reply.id == request_id:
                if not isinstance(reply, expected):
                    kind = type(reply).__name__
                    raise RemoteFailure(ErrorCode.BAD_REPLY, f"an unexpected {kind}")
                return reply, output
            if not isinstance(reply, Pong):
                self.late_replies += 1

    def _receive(self) -> tuple[Reply, bytes]:
        """Read one message, whole.

        Raises:
            ProtocolError: it is none of this protocol.
        """
        frames = self._connection.socket.recv_multipart(copy=False)
        try:
            reply = decode_reply(frames[0].bytes)
            check_frames([len(frame) for frame in frames], self._max_reply_bytes, reply.id)
            times = reply.times
            if not all(map(math.isfinite, (times.received_s, times.sent_s, times.compute_s))):
                raise ProtocolError(ErrorCode.BAD_REPLY, "a time that is no number", reply.id)
        except ProtocolError:
            self._reset()  # whatever speaks there, its next bytes are not to be trusted either
            raise
        return reply, frames[1].bytes

    def _take_pong(self, pong: Pong) -> None:
        now_s = time.monotonic()
        sent_s = self._pings.pop(pong.id, None)
        if sent_s is None:
            return
        times = pong.times
        rtt_s = max(0.0, now_s - sent_s - max(0.0, times.sent_s - times.received_s))
        offset_s = ((times.received_s - sent_s) + (times.sent_s - now_s)) / 2
        self._samples.append(_Sample(rtt_s, offset_s))
        self._sampled_s = now_s
        self._max_payload_bytes = pong.max_payload_bytes
        if self._observer is not None:
            self._observer.saw_rtt(rtt_s)
        self._see_edge(pong.expected_queue_s, now_s)

    def _give_up(self) -> None:
        """After a timeout: an upload still under way is dropped, with its connection.

        Where all has been sent the connection is kept, and the late answer dropped by its id.
        """
        self._connection.update()
        if self._connection.unsent_bytes() != 0:
            self._reset()
            self.resets += 1

    def _split(
        self, times: Times, start_s: float, end_s: float, sent_bytes: int, received_bytes: int
    ) -> PlacementCost:
        """The seconds from ``start_s`` to ``end_s``, term by term; none is negative."""
        total_s = end_s - start_s
        compute_s = min(times.compute_s, total_s)
        queue_s = min(times.queue_s, total_s - compute_s)
        transfer_s = total_s - compute_s - queue_s
        if times.clock == self._clock_name:
            upload_s = times.received_s - start_s
        elif self._samples:
            upload_s = times.received_s - self.clock_offset_s() - start_s
        else:  # two clocks and no ping yet: by the bytes
            upload_s = transfer_s * sent_bytes / max(1, sent_bytes + received_bytes)
        upload_s = min(max(0.0, upload_s), transfer_s)
        return PlacementCost(
            upload_s=upload_s,
            queue_s=queue_s,
            compute_s=compute_s,
            download_s=transfer_s - upload_s,
            cpu_j=0.0,
            radio_j=0.0,
        )

    def _report(
        self, times: Times, cost: PlacementCost, unsent_s: float, sent_bytes: int, got_bytes: int
    ) -> None:
        """Tell the observer, unless two clocks and no ping left the split a guess."""
        if self._observer is None:
            return
        if times.clock == self._clock_name or self._samples:
            uploaded_s = float(cost.upload_s) - unsent_s
            self._observer.saw_transfer(sent_bytes, uploaded_s, uplink=True)
            self._observer.saw_transfer(got_bytes, float(cost.download_s), uplink=False)


def _error(reply: Failed) -> RemoteError:
    """The exception a refusal becomes."""
    message = f"{reply.code}: {reply.message}"
    if reply.code is ErrorCode.BUSY:
        return RemoteBusy(message)
    if reply.code in (ErrorCode.EXPIRED, ErrorCode.OVERRUN):
        return RemoteTimeout(message)
    return RemoteFailure(reply.code, reply.message)


def _checked_budget(budget_s: float) -> float:
    """The budget, bounded by what the protocol can say."""
    if math.isnan(budget_s):
        raise ConfigError("the budget is not a number; give seconds")
    return min(max(0.0, budget_s), MAX_BUDGET_MS / 1e3)
