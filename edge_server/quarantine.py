"""Tasks that end their worker: told apart by what they are, not by who sent them."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict

from edge_server.jobs import Buffer, Job

DEATHS = 2
"""So many workers a task may take with it; then it is not run any more."""
REMEMBERED = 1024
"""Tasks kept in mind; beyond it the one that was longest out of sight is forgotten."""


class Quarantine:
    """Counts the workers that died of a task, by the task's kind and payload.

    A digest of every payload would cost more than many a task. It is worked out only for those that
    agree in kind and length with one that has ended a worker.
    """

    def __init__(self) -> None:
        self._deaths: OrderedDict[bytes, int] = OrderedDict()
        self._alike: Counter[tuple[str, int]] = Counter()
        self._likeness: dict[bytes, tuple[str, int]] = {}

    def __len__(self) -> int:
        """Tasks that are not run any more."""
        return sum(deaths >= DEATHS for deaths in self._deaths.values())

    def holds(self, job: Job) -> bool:
        """The job's task has ended :data:`DEATHS` workers."""
        if not self._alike or (job.kind, len(job.payload)) not in self._alike:
            return False
        digest = _digest(job.kind, job.payload)
        if digest not in self._deaths:
            return False
        self._deaths.move_to_end(digest)
        return self._deaths[digest] >= DEATHS

    def note_death(self, job: Job) -> None:
        """A worker died of the job."""
        digest = _digest(job.kind, job.payload)
        if digest not in self._deaths:
            likeness = self._likeness[digest] = (job.kind, len(job.payload))
            self._alike[likeness] += 1
        self._deaths[digest] = self._deaths.pop(digest, 0) + 1
        if len(self._deaths) > REMEMBERED:
            self._forget(next(iter(self._deaths)))

    def note_success(self, job: Job) -> None:
        """The job ended well, so a worker that died while at it died of something else."""
        if self._alike and (job.kind, len(job.payload)) in self._alike:
            digest = _digest(job.kind, job.payload)
            if digest in self._deaths:
                self._forget(digest)

    def _forget(self, digest: bytes) -> None:
        del self._deaths[digest]
        likeness = self._likeness.pop(digest)
        self._alike[likeness] -= 1
        if not self._alike[likeness]:
            del self._alike[likeness]


def _digest(kind: str, payload: Buffer) -> bytes:
    digest = hashlib.blake2b(kind.encode() + b"\0", digest_size=16)
    digest.update(payload)
    return digest.digest()
