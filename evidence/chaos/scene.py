"""What goes on in a row at this moment: which worker runs what, and when a client was last served.

Read from the history as it is written, so that faults hit tasks that are really being run.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from evidence.chaos.history import (
    ClientEnded,
    Ended,
    Follower,
    History,
    Stall,
    Started,
    Submitted,
    Terminal,
)
from evidence.chaos.parts import ChaosError
from evidence.chaos.tasks import POISON

_POLL_S = 0.002
_TICK_S = 0.01
_LATE_S = 0.005


class Scene:
    """Follows a history. A context manager.

    Attributes:
        running: at the edge now, by the worker's pid; a killed worker stays until it is struck off.
        finished: (pid, task) of runs at the edge that came to their end.
        outcomes: how many tasks ended how.
        served_s: when each client last got an answer of the edge.
        open: tasks submitted and not ended.
        late_replies: answers that clients dropped, of those that have finished.
    """

    def __init__(self, history: History) -> None:
        self._follower = Follower(history.path)
        self._poison: set[str] = set()
        self._client_of: dict[str, str] = {}
        self.running: dict[int, Started] = {}
        self.finished: set[tuple[int, str]] = set()
        self.outcomes: Counter[str] = Counter()
        self.served_s: dict[str, float] = {}
        self.open: dict[str, Submitted] = {}
        self.late_replies = 0

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *raised: object) -> None:
        self._follower.close()

    def update(self) -> None:
        """Take in what has been written since."""
        for event in self._follower.new():
            match event:
                case Submitted(task=task):
                    self.open[task] = event
                    self._client_of[task] = event.client
                    if event.kind == POISON:
                        self._poison.add(task)
                case Started(site="edge", pid=pid):
                    self.running[pid] = event
                case Ended(site="edge", pid=pid, task=task):
                    self.running.pop(pid, None)
                    self.finished.add((pid, task))
                case Terminal(task=task):
                    self.open.pop(task, None)
                    self.outcomes[event.outcome] += 1
                    if event.outcome == "remote_ok":
                        self.served_s[self._client_of[task]] = event.t_s
                    self._client_of.pop(task, None)
                case ClientEnded():
                    self.late_replies += event.late_replies

    def harmless(self) -> list[Started]:
        """Runs at the edge that would end well if they were let be."""
        return [run for run in self.running.values() if run.task not in self._poison]

    def wait(self, condition: Callable[[Scene], bool], timeout_s: float, what: str) -> None:
        """Follow until the condition holds.

        Raises:
            ChaosError: it did not within ``timeout_s``.
        """
        until_s = time.monotonic() + timeout_s
        while True:
            self.update()
            if condition(self):
                return
            if time.monotonic() > until_s:
                raise ChaosError(f"not within {timeout_s:g} s: {what}")
            time.sleep(_POLL_S)

    def wait_served(self, clients: int, since_s: float, timeout_s: float, name: str = "") -> float:
        """Wait until so many clients have had an answer of the edge since then; when that was.

        Args:
            name: count only clients whose name begins so.

        Raises:
            ChaosError: they had none in time.
        """
        served: dict[str, float] = {}

        def all_served(scene: Scene) -> bool:
            for client, at_s in scene.served_s.items():
                if at_s > since_s and client.startswith(name):
                    served.setdefault(client, at_s)
            return len(served) >= clients

        self.wait(all_served, timeout_s, f"an answer of the edge for each of {clients} clients")
        return max(served.values())


class StallWatch:
    """Notes when this machine lets a thread that only sleeps wait. A context manager.

    What a task loses in such a time is the machine's doing, not the server's or the client's.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stall watch", daemon=True)

    def __enter__(self) -> StallWatch:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            slept_s = time.monotonic()
            time.sleep(_TICK_S)
            now_s = time.monotonic()
            late_s = now_s - slept_s - _TICK_S
            if late_s > _LATE_S:
                self._history.write(Stall(now_s, late_s))
