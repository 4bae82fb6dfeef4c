"""The device of a live run: a process in the device's namespace, its task CPU slowed down.

Reads orders from standard input and answers on standard output, one JSON message a line; ends when
its input does. The probes and the connection run at full speed, the tasks in a child under a quota.
"""

from __future__ import annotations

import signal
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec
import tyro

from edge_server.client import EdgeClient
from netem.estimator import LinkTracker
from netem.probes import LinkProber
from netem.tcp_probes import TcpProber
from offload.errors import OffloadError, RemoteBusy, RemoteError, RemoteTimeout
from offload.local_executor import LocalExecutor
from offload.tasks import get_task
from offload.types import ExecutionResult, LinkState, Outcome, TaskInstance
from testbed.messages import (
    Broken,
    Execute,
    Executed,
    Measure,
    Measured,
    Order,
    Ready,
    SlowDown,
    Slowed,
    Timing,
    Warm,
    WarmUp,
)

PROBE_SHARE = 0.01
"""Of the link's rate, for probes between the measurements that are asked for."""
_WARM_UP_BUDGET_S = 60.0
_CALIBRATION_RUNS = 3
_REACH_S = 15.0
_RETRY_S = 0.1


@dataclass(frozen=True)
class DeviceOptions:
    """Where the edge is, and how slow the device."""

    edge_address: str
    edge_port: int
    probe_port: int
    slowdown: float = 4.0
    core: int | None = None
    congestion_control: str = "cubic"
    probe_over_tcp: bool = False


class Device:
    """Carries out orders.

    Attributes:
        ORDERS: the type of what it is told, for decoding.
    """

    ORDERS: Any = Order

    def __init__(
        self,
        options: DeviceOptions,
        local: LocalExecutor,
        edge: EdgeClient,
        prober: LinkProber | TcpProber,
    ) -> None:
        self._options = options
        self._local = local
        self._edge = edge
        self._prober = prober
        self._inputs: tuple[TaskInstance, bytes] | None = None

    def answer(self, order: Order) -> msgspec.Struct:
        """Carry out one order; errors of the project become :class:`Broken`."""
        try:
            if isinstance(order, WarmUp):
                return self._warm_up(order)
            if isinstance(order, Measure):
                return self._measure()
            if isinstance(order, SlowDown):
                return self._slow_down(order)
            return self._execute(order)
        except OffloadError as error:
            return Broken(f"{type(error).__name__}: {error}")

    def _measure(self) -> Measured:
        self._prober.start()  # not before: until then the link is unshaped
        self._prober.measure()
        state = self._prober.state()  # with all that is known from before
        cost = self._prober.cost
        link = LinkState(**{name: float(getattr(state, name)) for name in LinkState.__slots__})
        self._reach_edge()
        used = self._edge.congestion_control() or self._options.congestion_control
        return Measured(
            link, self._edge.edge_state(), cost.uplink_bytes + cost.downlink_bytes, used
        )

    def _reach_edge(self) -> None:
        """Ask the server how busy it is, and have the connection stand after a reset.

        A device does so in the background; here it is done outside of what is timed, and with
        patience: an upload that was given up leaves a link that loses bursts of packets silent for
        seconds, and the next task must not be charged with that. A link that is down is no error:
        what was seen last stays.
        """
        patience_ends_s = time.monotonic() + _REACH_S
        while True:
            try:
                self._edge.ping()
                return
            except RemoteTimeout:
                if time.monotonic() > patience_ends_s:
                    return
                time.sleep(_RETRY_S)

    def _warm_up(self, order: WarmUp) -> Warm:
        self._local.warm_up(order.kinds)
        timings = []
        for kind in order.kinds:
            seconds: dict[bool, list[float]] = {False: [], True: []}
            for seed in range(_CALIBRATION_RUNS + 1):
                task = TaskInstance(kind, get_task(kind).sizes[0], seed)
                for on_edge in (False, True):
                    executor = self._edge if on_edge else self._local
                    done = executor.execute(task, self._input(task), _WARM_UP_BUDGET_S)
                    if seed > 0:  # the first run loads models
                        seconds[on_edge].append(float(done.cost.compute_s))
            middle = _CALIBRATION_RUNS // 2
            timings.append(
                Timing(kind, sorted(seconds[False])[middle], sorted(seconds[True])[middle])
            )
        return Warm(tuple(timings))

    def _slow_down(self, order: SlowDown) -> Slowed:
        limit = self._local.limit
        limit.change(order.slowdown)
        return Slowed(limit.method, limit.reason)

    def _input(self, task: TaskInstance) -> bytes:
        if self._inputs is None or self._inputs[0] != task:
            self._inputs = (task, get_task(task.kind).make_input(task.size, task.seed))
        return self._inputs[1]

    def _execute(self, order: Execute) -> Executed:
        task = order.task
        payload = self._input(task)
        if order.on_edge:
            self._reach_edge()
        try:
            if order.on_edge:
                with self._prober.hold():
                    done: ExecutionResult = self._edge.execute(task, payload, order.budget_s)
            else:
                done = self._local.execute(task, payload, order.budget_s)
        except RemoteError as error:
            detail = f"{type(error).__name__}: {error}"
            # Late or busy is the link's or the queue's doing; any other refusal is a wrong answer.
            right = isinstance(error, RemoteTimeout | RemoteBusy)
            return Executed(None, right, len(payload), 0, detail)
        if done.outcome is Outcome.FAILED:
            return Executed(None, True, len(payload), 0, done.detail)
        correct = get_task(task.kind).check(task.size, task.seed, done.output)
        return Executed(done.cost, correct, len(payload), len(done.output), done.detail)


def serve(device: Device, ready: Ready, orders: BinaryIO, answers: BinaryIO) -> None:
    """Answer orders until there are no more."""
    encoder = msgspec.json.Encoder()
    decoder = msgspec.json.Decoder(device.ORDERS)
    answers.write(encoder.encode(ready) + b"\n")
    answers.flush()
    for line in orders:
        answers.write(encoder.encode(device.answer(decoder.decode(line))) + b"\n")
        answers.flush()


def _terminate(signum: int, frame: object) -> None:
    """Unwind, so that the task's process ends and its CPU group goes."""
    raise SystemExit(0)


def make_prober(options: DeviceOptions, tracker: LinkTracker) -> LinkProber | TcpProber:
    """A prober of the device's link, as the options say; its samples flow into ``tracker``."""
    peer = (options.edge_address, options.probe_port)
    if options.probe_over_tcp:
        return TcpProber(*peer, tracker=tracker)
    return LinkProber(*peer, budget_share=PROBE_SHARE, tracker=tracker)


def make_client(options: DeviceOptions, tracker: LinkTracker) -> EdgeClient:
    """A connection to the edge server; what it shows of the link flows into ``tracker``."""
    return EdgeClient(
        options.edge_address,
        options.edge_port,
        congestion_control=options.congestion_control,
        # A proxied transfer has no slow start, which its size would be corrected for.
        observer=None if options.probe_over_tcp else tracker,
    )


def main(options: DeviceOptions, kind: type[Device] = Device) -> None:
    """Run the device process, which answers the orders of that kind of device."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, which then ends us
    signal.signal(signal.SIGTERM, _terminate)
    tracker = LinkTracker(options.congestion_control)
    with (
        LocalExecutor(options.slowdown, options.core) as local,
        make_client(options, tracker) as edge,
        closing(make_prober(options, tracker)) as prober,
    ):
        ready = Ready(local.limit.method, local.limit.reason)
        try:
            serve(kind(options, local, edge, prober), ready, sys.stdin.buffer, sys.stdout.buffer)
        finally:  # the owner ends our orders and sends SIGTERM at once: let the closing be whole
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


if __name__ == "__main__":
    main(tyro.cli(DeviceOptions))
