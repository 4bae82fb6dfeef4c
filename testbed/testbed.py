"""Puts a device, an emulated link and an edge server together, and takes them apart again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from netem import Endpoint, Link, open_link
from netem.baseline import Baseline, measure_baseline, void_reason
from netem.player import TracePlayer
from offload.errors import VoidRun
from offload.link_profiles import get_profile
from offload.link_trace import LinkTrace
from offload.types import LinkProfile, TaskInstance
from testbed.messages import (
    Answer,
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
from testbed.other_users import OtherUsers
from testbed.processes import TestbedError, end_process, named_port, read_line, write_line

_ROOT = Path(__file__).resolve().parent.parent
_ANSWER_TIMEOUT_S = 120.0
_DEVICE = "the device process"

_AnswerT = TypeVar("_AnswerT", Ready, Warm, Measured, Executed, Slowed)


@dataclass(frozen=True)
class TestbedConfig:
    """How the testbed is built.

    Attributes:
        backend: network backend, or ``auto``: the first that carries packets.
        slowdown: how many times slower the device is than the edge.
        workers: of the edge server.
        congestion_control: TCP congestion control of both ends.
        seed: of the link's losses and delays; only backend ``tun`` takes one.
    """

    __test__ = False

    backend: str = "auto"
    slowdown: float = 4.0
    workers: int = 1
    congestion_control: str = "cubic"
    seed: int | None = None


class Testbed:
    """A context manager; everything it started has ended when it is left, however it is left.

    Args:
        profile: the link's profile once :meth:`apply` or :meth:`warm_up` is through.
        config: how to build it.
        trace: what the link replays, round and round, once :meth:`warm_up` is through.

    Attributes:
        link: the emulated link.
        limit: how the device's CPU is slowed down: method and reason.
        player: replays the trace; None before, and without one.
        baseline: what the unshaped link could do before the run; None before the warm-up.

    Raises:
        BackendError: no network backend can run here.
        TestbedError: the server or the device did not start.
    """

    __test__ = False
    DEVICE_MODULE = "testbed.device"
    """What the device process runs."""

    def __init__(
        self,
        profile: LinkProfile,
        config: TestbedConfig | None = None,
        trace: LinkTrace | None = None,
    ) -> None:
        self.config = config or TestbedConfig()
        self.profile = profile
        self.trace = trace
        self.player: TracePlayer | None = None
        self.baseline: Baseline | None = None
        self._stack = contextlib.ExitStack()
        self._replay = self._stack.enter_context(contextlib.ExitStack())
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        self.link: Link = self._stack.enter_context(
            open_link(
                get_profile("lan"), self.config.backend, seed=self.config.seed, need_packets=True
            )
        )
        cores = sorted(os.sched_getaffinity(0))
        edge = self.link.edge
        server = self._start(
            edge,
            "edge_server",
            # The link's far end is a namespace of its own, or the loopback: nobody else is there,
            # so the server's warning of that would mislead.
            *("--bind", edge.address, "--port", "0", "--insecure-let-anybody-in"),
            *("--log-level", "error"),
            *("--workers", str(self.config.workers)),
            *("--congestion-control", self.config.congestion_control),
            core=cores[-1],
        )
        self._edge_port = named_port(server, "the edge server")
        address, edge_port = self.link.reach(self._edge_port)
        over_tcp = [] if self.link.carries_packets else ["--tcp"]
        responder = self._start(
            edge, "netem", "respond", "--bind", edge.address, "--port", "0", *over_tcp
        )
        _, probe_port = self.link.reach(named_port(responder, "the probe responder"))
        self._edge_processes = {"the edge server": server, "the probe responder": responder}
        self._device = self._start(
            self.link.device,
            self.DEVICE_MODULE,
            *("--edge-address", address, "--edge-port", str(edge_port)),
            *("--probe-port", str(probe_port), "--slowdown", str(self.config.slowdown)),
            *([] if self.link.carries_packets else ["--probe-over-tcp"]),
            *("--core", str(cores[0]), "--congestion-control", self.config.congestion_control),
        )
        ready = self._answer(Ready)
        self.limit = (ready.limit_method, ready.limit_reason)

    def _start(
        self, end: Endpoint, module: str, *words: str, core: int | None = None
    ) -> subprocess.Popen[bytes]:
        pin = [] if core is None else ["taskset", "-c", str(core)]
        process = end.popen(
            [*pin, sys.executable, "-m", module, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            # Ctrl-C reaches the whole foreground group; only the owner is to act on it.
            start_new_session=True,
        )
        self._stack.callback(end_process, process)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process and take the link down; may be called twice."""
        self._stack.close()

    def warm_up(self, kinds: tuple[str, ...]) -> tuple[Timing, ...]:
        """Load every model on both sides over the unshaped link, then set profile or trace.

        Returns:
            Seconds of one small run of each kind on both sides, for calibration.

        Raises:
            VoidRun: the baseline between the two is out of its bounds: the machine is too busy.
        """
        warm = self._ask(WarmUp(kinds), Warm)
        self.baseline = measure_baseline(self.link)
        if self.baseline.faults:
            raise VoidRun(void_reason(self.baseline))
        self.apply(self.profile)
        if self.trace is not None:
            player = TracePlayer(self.link, self.trace, loop=True)
            self.player = self._replay.enter_context(player)
        return warm.timings

    def closing_baseline(self) -> Baseline:
        """End the replay, if there is one, and see whether the machine is as quiet as before."""
        self.player = None
        self._replay.close()
        return measure_baseline(self.link)

    def apply(self, profile: LinkProfile) -> None:
        """Set the link; it is read back and compared."""
        self.link.apply(profile)
        self.profile = profile

    def measure(self) -> Measured:
        """Probe the link from the device."""
        return self._ask(Measure(), Measured)

    def execute(self, task: TaskInstance, *, on_edge: bool, budget_s: float) -> Executed:
        """Run a task on one side."""
        return self._ask(Execute(task, on_edge, budget_s), Executed)

    def slow_down(self, slowdown: float) -> None:
        """Make the device's CPU so many times slower than a full core, from 1 to 100.

        Raises:
            TestbedError: out of bounds, or the testbed was built with a slowdown of 1.
        """
        slowed = self._ask(SlowDown(slowdown), Slowed)
        self.limit = (slowed.limit_method, slowed.limit_reason)

    def other_users(self, task: TaskInstance) -> OtherUsers:
        """Clients that keep the edge server busy with this task, over links of their own.

        They are idle until they are told a utilisation, and end with the testbed.

        Raises:
            TestbedError: they did not start.
        """
        process = self._start(
            self.link.edge,
            "testbed.load",
            *("--address", self.link.edge.address, "--port", str(self._edge_port)),
            *("--kind", task.kind, "--size", task.size, "--seed", str(task.seed)),
        )
        return OtherUsers(process)

    def _check_parts(self) -> None:
        """A dead server must not pass for one that is too slow, nor a stopped replay for a link."""
        for what, process in self._edge_processes.items():
            if process.poll() is not None:
                raise TestbedError(f"{what} ended with status {process.returncode}")
        if self.player is not None:
            self.player.check()

    def _ask(self, order: Order, expected: type[_AnswerT]) -> _AnswerT:
        self._check_parts()
        write_line(self._device, _DEVICE, msgspec.json.encode(order))
        return self._answer(expected)

    def _answer(self, expected: type[_AnswerT]) -> _AnswerT:
        line = read_line(self._device, _DEVICE, _ANSWER_TIMEOUT_S, self._check_parts)
        answer: Answer = msgspec.json.decode(line, type=Answer)
        if isinstance(answer, Broken):
            raise TestbedError(f"the device could not do it: {answer.error}")
        if not isinstance(answer, expected):
            raise TestbedError(f"the device answered with {type(answer).__name__}")
        return answer
