"""When an answer is handed over, and when it is counted as undeliverable."""

from __future__ import annotations

import pytest
import zmq

from edge_server.mailbox import Mailbox
from edge_server.protocol import Pong, decode_reply


class Router:
    """Says that the peer's queue is full as often as told, and one time less for each question."""

    def __init__(self, full: int) -> None:
        self._full = full
        self._asked = False
        self.sent: list[bytes] = []

    def send(self, data: bytes, flags: int = 0, *, copy: bool = True) -> None:
        if self._full and not self.sent:
            if not self._asked:
                raise zmq.Again
            self._full -= 1
            self._asked = False
            if self._full:
                raise zmq.Again
        self.sent.append(data)

    def getsockopt(self, option: int) -> int:
        assert option == zmq.EVENTS
        self._asked = True
        return 0


class Gate:
    def has_room(self, peer: bytes, n_bytes: int) -> bool:
        return True


@pytest.mark.parametrize(("full", "delivered"), [(0, True), (1, True), (2, False)])
def test_a_queue_that_only_seems_full_drops_no_answer(full, delivered):
    """libzmq takes in what a client has read when it is asked, else now and then only."""
    router = Router(full)
    mailbox = Mailbox(router, Gate(), 1000)  # type: ignore[arg-type]
    mailbox.send(b"peer", Pong(3, mailbox.times(1.0), 1000))
    assert mailbox.undeliverable == (not delivered)
    assert len(router.sent) == (3 if delivered else 0)
    if delivered:
        assert router.sent[0] == b"peer"
        assert decode_reply(router.sent[1]).id == 3
