"""A client that speaks the protocol itself and waits for nothing: for open-loop load.

It has one DEALER socket and no engine. Each task ends with the server's answer, or as
``unanswered`` when the client is closed.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence

import zmq

from edge_server.protocol import Done, Failed, Ping, Pong, Run, decode_reply, encode, new_task_id
from evidence.chaos.history import Accepted, History, Submitted, Terminal
from evidence.chaos.invariants import UNANSWERED
from evidence.chaos.tasks import SQUARES, make_input

_HIGH_WATER_MARK = 10_000
_POLL_S = 0.05


class RawClient:
    """One connection with any number of tasks under way. A context manager.

    Attributes:
        socket: for polling.
        open: submitted tasks without an answer, by request id.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], port: int, name: str, history: History
    ) -> None:
        self._name = name
        self._history = history
        self._rng = random.Random(name)
        self._last_id = 0
        self._pings: dict[int, list[str]] = {}
        self.open: dict[int, str] = {}
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
        self.socket.setsockopt(zmq.RCVHWM, _HIGH_WATER_MARK)
        self.socket.connect(f"tcp://127.0.0.1:{port}")

    @property
    def acknowledged(self) -> bool:
        """Every ping was answered."""
        return not self._pings

    def submit(self, hold_ms: int, padding: int, budget_s: float) -> None:
        """Send a task, whatever has become of the ones before."""
        self._last_id += 1
        task, n = f"{self._name}-{self._last_id}", self._rng.randint(10, 1000)
        payload = make_input(task, n, hold_ms, padding)
        header = Run(self._last_id, SQUARES, int(budget_s * 1000), new_task_id())
        self._history.write(
            Submitted(time.monotonic(), task, self._name, SQUARES, n, hold_ms, padding, budget_s)
        )
        self.open[self._last_id] = task
        self.socket.send_multipart([encode(header), payload])

    def ping(self) -> None:
        """Ask for a sign that the server has read all that was sent so far."""
        self._last_id += 1
        self._pings[self._last_id] = list(self.open.values())
        self.socket.send_multipart([encode(Ping(self._last_id)), b""])

    def receive(self) -> list[str]:
        """Take in every answer that is there; the outcomes of the tasks that ended."""
        outcomes = []
        while self.socket.poll(0):
            header, output = self.socket.recv_multipart()
            now_s, reply = time.monotonic(), decode_reply(header)
            if isinstance(reply, Pong):
                for task in self._pings.pop(reply.id, []):
                    self._history.write(Accepted(now_s, task))
            elif isinstance(reply, Done | Failed):
                outcome = "remote_ok" if isinstance(reply, Done) else str(reply.code)
                digest = hashlib.sha256(output).hexdigest() if isinstance(reply, Done) else ""
                # Of a task that is not open any more it is a second answer: the judge will see two.
                task = self.open.pop(reply.id, f"{self._name}-{reply.id}")
                self._history.write(Terminal(now_s, task, outcome, digest))
                outcomes.append(outcome)
        return outcomes

    def close(self) -> None:
        """Drop the connection; tasks without an answer end as ``unanswered``."""
        for task in self.open.values():
            self._history.write(Terminal(time.monotonic(), task, UNANSWERED))
        self.open.clear()
        self.socket.close(linger=0)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def receive_until(
    clients: Sequence[RawClient], done: Callable[[], bool], timeout_s: float
) -> Counter[str]:
    """Read answers of all clients until ``done`` or the time is over; how many ended how."""
    outcomes: Counter[str] = Counter()
    until_s = time.monotonic() + timeout_s
    poller = zmq.Poller()
    by_socket = {client.socket: client for client in clients}
    for socket in by_socket:
        poller.register(socket, zmq.POLLIN)
    while not done() and (left_s := until_s - time.monotonic()) > 0:
        for socket, _ in poller.poll(1 + int(1000 * min(left_s, _POLL_S))):
            outcomes.update(by_socket[socket].receive())
    return outcomes
