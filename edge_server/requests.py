"""What each sort of request comes to: a job for the dispatcher, or an answer at once."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge_server.compression import AVAILABLE as ZSTD_AVAILABLE
from edge_server.dispatcher import Dispatcher
from edge_server.jobs import GivenUp, Instruction, Job
from edge_server.mailbox import Mailbox, Message
from edge_server.protocol import Cancel, Ping, Pong, Run, Stats
from edge_server.security.gate import Gate
from edge_server.watching.state import ServerState


class Requests:
    """Takes in the server's messages, one after the other.

    Args:
        dispatcher: gets the jobs.
        gate: says whose connection it is.
        mailbox: answers.
        max_payload_bytes: told to whoever pings.
        state: how the server stands, for its counters.

    Attributes:
        ready_s: since when the server is ready, on the monotonic clock.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        gate: Gate,
        mailbox: Mailbox,
        max_payload_bytes: int,
        state: Callable[[], ServerState],
    ) -> None:
        self._dispatcher = dispatcher
        self._gate = gate
        self._mailbox = mailbox
        self._max_payload_bytes = max_payload_bytes
        self._state = state
        self.ready_s = time.monotonic()

    def take(self, message: Message) -> list[Instruction]:
        """One message; what is to be done next."""
        peer, request, payload, received_s = message
        if isinstance(request, Run):
            user = self._gate.user_of(peer)
            job = Job(
                peer,
                request.id,
                request.kind,
                payload,
                received_s,
                received_s + request.budget_ms / 1e3,
                user or peer,
                user + request.task if user else request.task,
                request.zstd_bytes,
                request.accept_zstd and ZSTD_AVAILABLE,  # or a worker elsewhere might compress
                request.attempt,
            )
            return self._dispatcher.admit(job, received_s)
        if isinstance(request, Cancel):
            return self._cancel(peer, request, received_s)
        if isinstance(request, Ping):
            times = self._mailbox.times(received_s)
            queue_s = self._dispatcher.expected_queue_s()
            pong = Pong(request.id, times, self._max_payload_bytes, queue_s, ZSTD_AVAILABLE)
            self._mailbox.send(peer, pong)
        else:
            self._mailbox.send(peer, self._stats(request.id, received_s))
        return []

    def _cancel(self, peer: bytes, request: Cancel, received_s: float) -> list[Instruction]:
        user = self._gate.user_of(peer)
        task = user + request.task if user else request.task
        given_up = GivenUp(task, peer, request.id, request.attempt)
        instructions = self._dispatcher.cancel(given_up, received_s)
        if not instructions:
            self._mailbox.tally.idle_cancels += 1
        return instructions

    def _stats(self, request_id: int, received_s: float) -> Stats:
        state = self._state()
        return Stats(
            request_id,
            self._mailbox.times(received_s),
            uptime_s=time.monotonic() - self.ready_s,
            workers=state.ready,
            busy=state.running,
            queued=state.waiting,
            received=state.received,
            answered=dict(self._mailbox.tally.outcomes),
            workers_replaced=state.restarts,
            undeliverable=state.undeliverable,
        )
