"""How a server stands at one moment, as its pages tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerState:
    """How a server stands at one moment.

    Attributes:
        waiting, running: tasks admitted and not answered yet.
        workers, ready: workers it is to have; those that are idle or run a task.
        draining: it takes no task any more.
        received: messages of any kind.
        restarts: workers that ended and were replaced.
        undeliverable: answers whose client had gone or did not read.
        gate: connections by what became of them at the gate, e.g. ``accepted``.
        connections: open ones.
        locked: the authenticator has died, and nobody new is let in.
        quarantined: tasks that are not run any more, since they ended their workers.
    """

    waiting: int
    running: int
    workers: int
    ready: int
    draining: bool
    received: int
    restarts: int
    undeliverable: int
    gate: Mapping[str, int] = field(default_factory=dict)
    connections: int = 0
    locked: bool = False
    quarantined: int = 0

    @property
    def health(self) -> tuple[bool, str]:
        """Whether a task that came now would be taken, and the reason in a word or two."""
        if self.draining:
            return False, "draining"
        if self.locked:
            return False, "the authenticator has died: nobody new is let in"
        return (True, "serving") if self.ready else (False, "no worker is ready")
