"""Row: hours of use, with a worker or a client killed every ten seconds; nothing may grow."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Sequence
from itertools import combinations

import zmq

from evidence.chaos.client import ClientOptions
from evidence.chaos.history import Sample, read_history
from evidence.chaos.parts import Clients, Sampler, Server
from evidence.chaos.raw_client import RawClient, receive_until
from evidence.chaos.rows import Bound, RowRun, at_most, exactly, told
from evidence.chaos.scene import Scene

EVERY_S = 10.0
_STRIKE_WITHIN_S = 4.0
"""A kill comes at a time of its own in the first part of its ten seconds."""
SETTLED_S = 2.0
"""The last part of them, when whatever was killed has been replaced."""
WARM_SHARE = 0.25
"""Of the whole; before that, caches and allocators fill."""
_SLOPE_MIB_H = 10.0
_MOST_POINTS = 200
_WORKERS = 3
_THREADS = 3
_PATIENCE_S = 30.0
_FILLING = 6000
"""Tasks before anything is measured; the server keeps 4096 answers for requests that come twice."""
_WINDOW = 8


def soak(run: RowRun) -> list[Bound]:
    """A server and clients that stay; in turn a worker and a process of others is killed."""
    rng = run.rng("kills")
    with (
        Server(run.history, {"workers": _WORKERS}) as server,
        Scene(run.history) as scene,
        Clients(run.history, _options("stays", server.port, run.seed)) as stays,
    ):
        mortal = Clients(run.history, _options("mortal", server.port, run.seed))
        try:
            scene.wait_served(2 * _THREADS, 0.0, _PATIENCE_S)
            _fill_caches(run, server.port)
            began_s = time.monotonic()
            with Sampler([server, stays]):
                for number in range(run.count):
                    turn_s = began_s + number * EVERY_S
                    _sleep_until(turn_s + rng.uniform(0.0, _STRIKE_WITHIN_S))
                    if number % 2:
                        mortal.strike()
                        options = _options(f"mortal{number}-", server.port, run.seed)
                        mortal = Clients(run.history, options)
                    else:
                        _kill_worker(run, server, scene)
                    _sleep_until(turn_s + EVERY_S)
                    run.progress(number + 1)
            mortal.finish()
        finally:
            mortal.kill()
        scene.wait_served(_THREADS, time.monotonic(), _PATIENCE_S, "stays")
        pids = {"server": server.pid, "client": stays.pid}
    samples = [event for event in read_history(run.history.path) if isinstance(event, Sample)]
    return [
        bound
        for name, pid in pids.items()
        for bound in held(name, [s for s in samples if s.pid == pid], began_s, run.count)
    ]


def held(name: str, samples: Sequence[Sample], began_s: float, turns: int) -> list[Bound]:
    """What a process held in memory and descriptors, turn by turn of ten seconds."""
    warm_s = began_s + WARM_SHARE * turns * EVERY_S
    warm = [sample for sample in samples if sample.t_s >= warm_s]
    settled: list[list[int]] = [[] for _ in range(turns)]
    for sample in warm:
        turn, into_s = divmod(sample.t_s - began_s, EVERY_S)
        if into_s >= EVERY_S - SETTLED_S and turn < turns:
            settled[int(turn)].append(sample.descriptors)
    counts = [min(turn) for turn in settled if turn]
    slope = slope_per_s([(s.t_s, float(s.rss_bytes)) for s in warm]) * 3600 / 2**20
    last = warm[-1].rss_bytes / 2**20
    return [
        at_most(f"{name}: growth of its memory", _SLOPE_MIB_H, slope, " MiB/h"),
        exactly(f"{name}: change of its descriptors", 0, max(counts) - min(counts)),
        told(f"{name}: held at the end", f"{last:.1f} MiB, {counts[-1]} descriptors"),
    ]


def slope_per_s(points: Sequence[tuple[float, float]]) -> float:
    """The median slope of all pairs of points (Theil and Sen), which single jumps hardly move."""
    step = -(-len(points) // _MOST_POINTS)
    return statistics.median(
        (later - earlier) / (to_s - from_s)
        for (from_s, earlier), (to_s, later) in combinations(points[::step], 2)
    )


def _options(name: str, port: int, seed: int) -> ClientOptions:
    return ClientOptions(
        name, port, threads=_THREADS, seed=seed, hold_ms=(5, 30), gap_s=0.1, padding=1000
    )


def _fill_caches(run: RowRun, port: int) -> None:
    """Run more tasks than the server keeps answers for: what is bounded is then full."""
    with zmq.Context() as context, RawClient(context, port, "fills", run.history) as client:
        for _ in range(_FILLING // _WINDOW):
            for _ in range(_WINDOW):
                client.submit(0, 1000, _PATIENCE_S)
            receive_until([client], lambda: not client.open, _PATIENCE_S)


def _kill_worker(run: RowRun, server: Server, scene: Scene) -> None:
    """Kill a worker in mid-task."""

    def running(scene: Scene) -> bool:
        return bool(set(scene.running) & set(server.workers()))

    scene.wait(running, _PATIENCE_S, "a task to run")
    pid = min(set(scene.running) & set(server.workers()))
    os.kill(pid, signal.SIGKILL)
    run.history.fault("kill-worker", pid)
    scene.running.pop(pid)


def _sleep_until(at_s: float) -> None:
    time.sleep(max(0.0, at_s - time.monotonic()))
