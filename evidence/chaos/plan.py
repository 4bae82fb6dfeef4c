"""The rows of the suite, in the order of its table."""

from __future__ import annotations

from evidence.chaos.crowd import idle_sockets
from evidence.chaos.flood import flood
from evidence.chaos.hostile import mutated_frames, mutated_messages
from evidence.chaos.kills import kill_server, kill_workers
from evidence.chaos.links import FULL, SHORT, fail_link
from evidence.chaos.overload import FACTORS, overload
from evidence.chaos.rows import Row
from evidence.chaos.sigterm import terminate
from evidence.chaos.soak import soak
from evidence.chaos.stops import stop
from evidence.chaos.uninvited import unauthenticated
from offload.errors import UnknownNameError

ROWS: tuple[Row, ...] = (
    Row("mutated-frames", "mutated frames into the decoders", "frames",
        10_000_000, 1_000_000, 0.4, (15, 150), mutated_frames),
    Row("mutated-messages", "mutated messages, wrong order, forged identities, into a live server",
        "messages", 1_000_000, 50_000, 0.4, (15, 200), mutated_messages),
    Row("worker-kill", "kill -9 of a worker in mid-task", "kills",
        1000, 100, 0.4, (40, 400), kill_workers),
    Row("server-kill", "kill -9 of the server in mid-task, restarted at its port", "kills",
        200, 20, 0.3, (30, 300), kill_server),
    Row("stopped", "SIGSTOP of the server or a worker for 10 s", "stops",
        100, 5, 0.3, (20, 300), stop),
    Row("link", "the link carries nothing, both ways or one, or comes and goes", "faults",
        len(FULL), len(SHORT), 0.3, (40, 240), fail_link),
    Row("unauthenticated", "no key, wrong keys, PLAIN, wrong domain, the authenticator killed",
        "attempts of each kind", 1000, 50, 0.3, (10, 150), unauthenticated),
    Row("idle-sockets", "idle raw sockets and slow writers", "sockets",
        2000, 200, 0.4, (20, 75), idle_sockets),
    Row("flood", "10,000 tasks of 100 clients at once, the workers stopped", "tasks",
        10_000, 10_000, 0.7, (15, 15), flood),
    Row("overload", "tasks arrive at 2 and 5 times the peak rate, in an open loop", "rates",
        len(FACTORS), 1, 0.7, (15, 100), overload),
    Row("sigterm", "SIGTERM under load", "servers",
        100, 10, 0.4, (20, 200), terminate),
    Row("soak", "a worker or a client killed every 10 s", "kills",
        360, 12, 0.3, (130, 3630), soak),
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
