"""The process of the edge's other users: tasks that arrive at random, whoever is still waiting.

Arrivals are a Poisson process and each task takes about the same time, so with one worker the
server is an M/D/1 queue. Reads orders from standard input and answers each on standard output, one
JSON message a line; ends when its input does.
"""

from __future__ import annotations

import queue
import signal
import statistics
import sys
import threading
import time
from dataclasses import dataclass

import msgspec
import numpy as np
import tyro

from edge_server.client import EdgeClient
from offload.errors import RemoteError
from offload.tasks import get_task
from offload.types import TaskInstance
from testbed.other_users import Begun, Offer, Offered

CLIENTS = 16
"""As many as the server lets wait."""
_BUDGET_S = 60.0
_TIMED_RUNS = 3


@dataclass(frozen=True)
class LoadOptions:
    """Where the server is, and what to run there."""

    address: str
    port: int
    kind: str
    size: str
    seed: int = 0


class Load:
    """Clients that each wait for one task at a time, and the arrivals that set them to work."""

    def __init__(self, options: LoadOptions) -> None:
        self._at = (options.address, options.port)
        self._task = TaskInstance(options.kind, options.size, options.seed)
        self._payload = get_task(options.kind).make_input(options.size, options.seed)
        self._rng = np.random.default_rng(options.seed)
        self._work: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._rate_hz = 0.0
        self._idle = CLIENTS
        self._busy_s = 0.0
        self._done = self._refused = self._dropped = 0
        self._since_s = time.monotonic()
        self.service_s = self._timed()
        for _ in range(CLIENTS):
            threading.Thread(target=self._serve, daemon=True).start()
        threading.Thread(target=self._arrive, daemon=True).start()

    def offer(self, utilisation: float, at_once: int) -> Offered:
        """Change the rate of arrivals; returns what was run since the change before."""
        with self._changed:
            now_s = time.monotonic()
            report = Offered(
                elapsed_s=now_s - self._since_s,
                busy_s=self._busy_s,
                done=self._done,
                refused=self._refused,
                dropped=self._dropped,
                waiting=CLIENTS - self._idle,
            )
            self._busy_s, self._since_s = 0.0, now_s
            self._done = self._refused = self._dropped = 0
            self._rate_hz = utilisation / self.service_s
            for _ in range(at_once):
                self._take_one()
            self._changed.notify_all()
        return report

    def _timed(self) -> float:
        with EdgeClient(*self._at) as edge:
            seconds = [
                float(edge.execute(self._task, self._payload, _BUDGET_S).cost.compute_s)
                for _ in range(_TIMED_RUNS + 1)
            ]
        return statistics.median(seconds[1:])  # the first run loads the worker's models

    def _arrive(self) -> None:
        while True:
            with self._changed:
                rate_hz = self._rate_hz
                # Gaps have no memory, so a change of rate may cut one short and draw it anew.
                gap_s = self._rng.exponential(1.0 / rate_hz) if rate_hz > 0.0 else None
                if not self._changed.wait(gap_s):
                    self._take_one()

    def _take_one(self) -> None:
        """A task arrives: a client sets to work on it, if one is left. Called under the lock."""
        if self._idle == 0:
            self._dropped += 1
            return
        self._idle -= 1
        self._work.put(None)

    def _serve(self) -> None:
        with EdgeClient(*self._at) as edge:
            while True:
                self._work.get()
                busy_s: float | None = None
                try:
                    done = edge.execute(self._task, self._payload, _BUDGET_S)
                    busy_s = float(done.cost.compute_s)
                except RemoteError:
                    pass  # counted below, and told with the next order
                with self._changed:
                    self._idle += 1
                    if busy_s is None:
                        self._refused += 1
                    else:
                        self._done += 1
                        self._busy_s += busy_s


def main(options: LoadOptions) -> None:
    """Run until there are no more orders."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, which then ends us
    load = Load(options)
    answers = sys.stdout.buffer
    answers.write(msgspec.json.encode(Begun(load.service_s)) + b"\n")
    answers.flush()
    for line in sys.stdin.buffer:
        offer = msgspec.json.decode(line, type=Offer)
        answers.write(msgspec.json.encode(load.offer(offer.utilisation, offer.at_once)) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main(tyro.cli(LoadOptions))
