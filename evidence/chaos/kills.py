"""Rows that kill: a worker in mid-task, and the whole server in mid-task."""

from __future__ import annotations

import os
import signal
import time

from evidence.chaos.client import ClientOptions
from evidence.chaos.history import read_history
from evidence.chaos.invariants import read_story
from evidence.chaos.parts import Clients, Server
from evidence.chaos.rows import Bound, RowRun, at_least, at_most, exactly, told
from evidence.chaos.scene import Scene
from evidence.chaos.tasks import POISON

_WORKERS = 4
_THREADS = 4
_PATIENCE_S = 30.0
_DEADLINE_S = (8.0, 10.0)
"""Long: what is shown here is that nothing is lost, not that it is quick."""
_POISON_SHARE = 0.1


def kill_workers(run: RowRun) -> list[Bound]:
    """kill -9 of a worker that is running a task, again and again.

    Two processes of clients: one whose local runs are isolated, so that every task has to end well,
    and one whose local runs are not, which must refuse what has killed a worker. A few tasks are
    poison.
    """
    rng = run.rng("kills")
    struck = too_late = 0
    with (
        Server(run.history, {"workers": _WORKERS}) as server,
        Scene(run.history) as scene,
        Clients(run.history, _options("apart", server.port, run.seed, isolated=True)),
        Clients(run.history, _options("inside", server.port, run.seed, isolated=False)),
    ):
        while struck < run.count:
            scene.wait(lambda scene: bool(scene.harmless()), _PATIENCE_S, "a task to run")
            time.sleep(rng.uniform(0.0, 0.05))
            scene.update()
            alive = set(server.workers())
            targets = [target for target in scene.harmless() if target.pid in alive]
            if not targets:
                continue
            victim = rng.choice(sorted(targets, key=lambda target: target.task))
            os.kill(victim.pid, signal.SIGKILL)
            run.history.fault("kill-worker", victim.pid)
            scene.running.pop(victim.pid)
            _wait_replaced(scene, server, victim.pid)
            if (victim.pid, victim.task) in scene.finished:  # it had ended a moment before
                too_late += 1
                continue
            struck += 1
            run.progress(struck)
        scene.wait_served(2 * _THREADS, time.monotonic(), _PATIENCE_S)
    return [*_harm(run), told("kills that came just after a task's end", str(too_late))]


def kill_server(run: RowRun) -> list[Bound]:
    """kill -9 of the server while it runs tasks, a new one at the same port, all clients back."""
    rng = run.rng("kills")
    from_ready_s: list[float] = []
    from_kill_s: list[float] = []
    server = Server(run.history, {"workers": 2})
    port = server.port
    try:
        with (
            Scene(run.history) as scene,
            Clients(run.history, _options("client", port, run.seed, isolated=True)),
        ):
            scene.wait_served(_THREADS, 0.0, _PATIENCE_S)
            for number in range(run.count):
                scene.wait(lambda scene: bool(scene.running), _PATIENCE_S, "a task to run")
                time.sleep(rng.uniform(0.0, 0.03))
                killed_s = run.history.fault("kill-server", server.pid)
                server.kill()
                scene.update()
                scene.running.clear()
                server = Server(run.history, {"workers": 2, "port": port})
                ready_s = run.history.healed("kill-server", server.pid)
                served_s = scene.wait_served(_THREADS, killed_s, _PATIENCE_S)
                from_ready_s.append(max(0.0, served_s - ready_s))
                from_kill_s.append(served_s - killed_s)
                run.progress(number + 1)
    finally:
        server.kill()
    worst_s = max(from_ready_s)
    return [
        at_most("all clients served again after the new server's ready line", 2.0, worst_s, " s"),
        told("all clients served again after the kill", f"at most {max(from_kill_s):.2f} s"),
    ]


def _options(name: str, port: int, seed: int, *, isolated: bool) -> ClientOptions:
    poison_share = _POISON_SHARE if name != "client" else 0.0
    return ClientOptions(
        name,
        port,
        threads=_THREADS,
        seed=seed,
        isolated=isolated,
        poison_share=poison_share,
        deadline_s=_DEADLINE_S,
    )


def _wait_replaced(scene: Scene, server: Server, gone: int) -> None:
    """Wait until another worker stands in the place of the one that is gone."""

    def replaced(scene: Scene) -> bool:
        workers = server.workers()
        return gone not in workers and len(workers) >= _WORKERS

    scene.wait(replaced, _PATIENCE_S, "another worker in place of the killed one")


def _harm(run: RowRun) -> list[Bound]:
    """Whom the kills of workers harmed."""
    story = read_story(read_history(run.history.path))
    failed = [
        story.submitted[task][0]
        for task, ends in story.terminal.items()
        if ends[0].outcome == "failed" and story.submitted[task][0].kind != POISON
    ]
    apart = sum(given.client.startswith("apart") for given in failed)
    poison = [given[0] for given in story.submitted.values() if given[0].kind == POISON]
    inside = sum(given.client.startswith("inside") for given in poison)
    return [
        exactly("tasks failed where local runs are isolated", 0, apart),
        told("failed where they are not", f"{len(failed) - apart}, as they must"),
        at_least("poison tasks of clients whose local runs are not isolated", 1, inside),
        told("tasks", f"{len(story.submitted):,}, {len(poison)} of them poison"),
    ]
