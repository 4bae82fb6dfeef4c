"""The rows of the suite, in the order of its table."""

from __future__ import annotations

from evidence.chaos.kills import kill_server, kill_workers
from evidence.chaos.rows import Row
from offload.errors import UnknownNameError

ROWS: tuple[Row, ...] = (
    Row("worker-kill", "kill -9 of a worker in mid-task", "kills",
        1000, 100, 0.4, (40, 400), kill_workers),
    Row("server-kill", "kill -9 of the server in mid-task, restarted at its port", "kills",
        200, 20, 0.4, (30, 300), kill_server),
)  # fmt: skip


def row_called(name: str) -> Row:
    """The row of that name.

    Raises:
        UnknownNameError: there is none.
    """
    for row in ROWS:
        if row.name == name:
            return row
    raise UnknownNameError("row", name, [row.name for row in ROWS])
