"""Row: the server or a worker is stopped (SIGSTOP) for ten seconds; every task ends in time."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

from evidence.chaos.client import ClientOptions
from evidence.chaos.history import read_history
from evidence.chaos.invariants import read_story
from evidence.chaos.parts import Clients, Server
from evidence.chaos.rows import Bound, RowRun, exactly, told
from evidence.chaos.scene import Scene

_STOPPED_S = 10.0
_AT_ONCE = 5
_THREADS = 2
_PATIENCE_S = 60.0


def stop(run: RowRun) -> list[Bound]:
    """Pairs of server and clients, some side by side; in each, one stop in mid-task.

    The odd ones stop a worker, the even ones the server itself. Each task has a deadline that a
    local run can keep, and has to end by it.
    """
    back_s = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        stops = [pool.submit(_stop_once, run, number) for number in range(run.count)]
        try:
            for done, one in enumerate(as_completed(stops), 1):
                back_s.append(one.result())
                run.progress(done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    story = read_story(read_history(run.history.path))
    promised = [given[0] for given in story.submitted.values() if given[0].promised]
    late_s = [
        story.terminal[given.task][0].t_s - given.t_s - given.deadline_s
        for given in promised
        if given.task in story.terminal
    ]
    return [
        exactly("tasks with a promised deadline that ended", len(promised), len(late_s)),
        told("latest of them", f"{max(late_s) * 1e3:+.0f} ms from its deadline"),
        told("served by the edge again", f"at most {max(back_s):.2f} s after it went on"),
    ]


def _stop_once(run: RowRun, number: int) -> float:
    """One pair, one stop; seconds from its end until every client was served by the edge again."""
    rng = run.rng(f"stop {number}")
    with Server(run.history, {"workers": 1}) as server, Scene(run.history) as scene:
        options = ClientOptions(
            f"pair{number}",
            server.port,
            threads=_THREADS,
            seed=run.seed,
            deadline_s=(0.3, 1.0),
            promised=True,
            gap_s=0.05,
        )
        with Clients(run.history, options):
            scene.wait_served(_THREADS, 0.0, _PATIENCE_S, options.name)
            time.sleep(rng.uniform(0.0, 0.5))
            scene.wait(lambda scene: _busy(scene, server), _PATIENCE_S, "a task to run")
            target, what = server.pid, "stop-server"
            if number % 2:
                target, what = server.workers()[0], "stop-worker"
            os.kill(target, signal.SIGSTOP)
            run.history.fault(what, target)
            try:
                time.sleep(_STOPPED_S)
            finally:
                with contextlib.suppress(ProcessLookupError):  # the server has replaced its worker
                    os.kill(target, signal.SIGCONT)
            healed_s = run.history.healed(what, target)
            return scene.wait_served(_THREADS, healed_s, _PATIENCE_S, options.name) - healed_s


def _busy(scene: Scene, server: Server) -> bool:
    return any(pid in scene.running for pid in server.workers())
