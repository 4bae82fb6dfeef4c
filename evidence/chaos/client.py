"""Clients with decision engines: ``python -m evidence.chaos.client OPTIONS HISTORY``.

Each thread is one client: a local executor and an engine whose policy is always the edge, which
starts the local run in time for the deadline. All of a process share an :class:`EdgePool`. A client
submits one task after the other until the process's standard input closes; what is under way is
seen to its end. OPTIONS is a JSON object of :class:`ClientOptions`.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_server.pool import EdgePool
from edge_server.pool_config import PoolConfig
from edge_server.worker import die_with
from evidence.chaos.device import InChild, InClient
from evidence.chaos.history import (
    ClientEnded,
    ClientStarted,
    History,
    Reported,
    Submitted,
    Terminal,
)
from evidence.chaos.run_queue import between_s, waited_ns
from evidence.chaos.tasks import POISON, SQUARES, make_input
from offload.engine import DecisionEngine
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    LinkState,
    Outcome,
    RadioPower,
    TaskInstance,
    TaskProfile,
)

_WAITS_S = 0.1
"""In that time a local run that was kept from beginning begins, or the machine is beyond hope."""
_DEVICE_S = 0.01
"""What a local run takes besides the task's own time, as a profile would have it."""


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """What a process of clients does.

    Attributes:
        name: its clients are NAME.0, NAME.1, ...
        hold_ms: shortest and longest time a task holds its worker.
        deadline_s: shortest and longest deadline of a task.
        promised: a task has to end by its deadline, whatever happens to link and server.
        padding: bytes of an input besides its numbers.
        gap_s: mean pause of a client between two tasks.
        poison_share: share of the tasks that kill the process they run in.
        isolated: local runs happen in a child process; else in the client's own.
    """

    name: str
    port: int
    host: str = "127.0.0.1"
    threads: int = 2
    seed: int = 0
    hold_ms: tuple[int, int] = (20, 60)
    deadline_s: tuple[float, float] = (2.0, 2.0)
    promised: bool = False
    padding: int = 100
    gap_s: float = 0.0
    poison_share: float = 0.0
    isolated: bool = True


class AlwaysEdge:
    """The policy that offloads whatever it is asked about."""

    name = "always-edge"
    sees_truth = False

    def decide(self, context: DecisionContext) -> int:
        """1: the edge."""
        return 1


class _Client:
    """One client, in a thread of its own."""

    def __init__(
        self,
        name: str,
        options: ClientOptions,
        pool: EdgePool,
        history: History,
        over: threading.Event,
    ) -> None:
        self._name = name
        self._options = options
        self._pool = pool
        self._history = history
        self._over = over
        self._rng = random.Random(f"{options.seed}/{name}")
        self._local = (InChild if options.isolated else InClient)(history)
        self._submitted = 0
        self._task = ""

    def run(self) -> None:
        """Submit tasks until it is over."""
        engine = DecisionEngine(
            AlwaysEdge(),
            self._local,
            self._pool,
            hedge=True,
            on_record=lambda record: self._report(),
        )
        try:
            while not self._over.is_set():
                self._one_task(engine)
                self._over.wait(self._rng.uniform(0.0, 2.0 * self._options.gap_s))
        finally:
            engine.close()
            self._local.close()
        self._history.write(ClientEnded(time.monotonic(), self._name, engine.late_answers))

    def _one_task(self, engine: DecisionEngine) -> None:
        rng, options = self._rng, self._options
        self._task = task = f"{self._name}-{self._submitted}"
        self._submitted += 1
        kind = POISON if rng.random() < options.poison_share else SQUARES
        n, hold_ms = rng.randint(10, 1000), rng.randint(*options.hold_ms)
        deadline_s = rng.uniform(*options.deadline_s)
        payload = make_input(task, n, hold_ms, options.padding)
        context = _context(hold_ms / 1000, len(payload), deadline_s)
        self._history.write(
            Submitted(
                time.monotonic(), task, self._name, kind, n, hold_ms, options.padding,
                deadline_s, options.promised,
            )
        )  # fmt: skip
        before = self._waited_ns()
        try:
            result = engine.run(TaskInstance(kind, "", n), payload, context)
        except Exception as error:  # the judge has to see it, whatever it is
            reason = f"{type(error).__name__}: {error}"
            self._history.write(Terminal(time.monotonic(), task, "raised", reason=reason))
            return
        ended_s = time.monotonic()
        if result.outcome is Outcome.FAILED and options.promised:
            time.sleep(_WAITS_S)  # the kernel counts a wait for a CPU when it is over
        held_s = between_s(before, self._waited_ns())
        digest = hashlib.sha256(result.output).hexdigest() if result.output else ""
        self._history.write(
            Terminal(ended_s, task, str(result.outcome), digest, result.detail, held_s)
        )

    def _waited_ns(self) -> dict[str, int]:
        """How long the threads of this process and the local child have waited for a CPU."""
        return waited_ns({os.getpid(), self._local.pid})

    def _report(self) -> None:
        self._history.write(Reported(time.monotonic(), self._task))


def _context(hold_s: float, input_bytes: int, deadline_s: float) -> DecisionContext:
    """What the engine is told: the task's true seconds, and an idle link and edge."""
    local_s = hold_s + _DEVICE_S
    return DecisionContext(
        link=LinkState(0.001, 0.0, 0.0, 1e8, 1e8),
        task=TaskProfile(local_s, hold_s, input_bytes, 16, deadline_s),
        device=DeviceState(0.0, 1.0, RadioPower(*[0.0] * 8), 0.0, 1.0, 0.1),
        edge=EdgeState(0.0, 0.0),
        reference_s=local_s,
        reference_j=1.0,
    )


def main(options: ClientOptions, path: Path, parent_pid: int) -> None:
    """Run the clients until standard input closes."""
    die_with(parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the row, which then ends us
    over = threading.Event()
    names = [f"{options.name}.{number}" for number in range(options.threads)]
    config = PoolConfig(connections=max(2, options.threads), seed=options.seed)
    with History(path) as history, EdgePool(options.host, options.port, config=config) as pool:
        clients = [_Client(name, options, pool, history, over) for name in names]
        history.write(ClientStarted(time.monotonic(), names, os.getpid()))
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        print("clients ready", flush=True)
        sys.stdin.read()
        over.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(
        msgspec.json.decode(sys.argv[1], type=ClientOptions),
        Path(sys.argv[2]),
        os.getppid(),
    )
