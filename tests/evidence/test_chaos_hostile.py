"""The chaos suite's rows of hostile peers, in small; and that they can fail."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from edge_server.protocol import ErrorCode, ProtocolError, decode_request
from evidence.chaos.history import FILE_NAME, History
from evidence.chaos.hostile import REQUESTS, decode_all, mutated_frames, mutated_messages
from evidence.chaos.mutations import mutated
from evidence.chaos.rows import Bound, RowRun
from evidence.chaos.uninvited import Attempt, knock, unauthenticated

Run = Callable[[Callable[[RowRun], list[Bound]], int], list[Bound]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with History(tmp_path / FILE_NAME) as history:

        def row(function: Callable[[RowRun], list[Bound]], count: int) -> list[Bound]:
            return function(RowRun(count, True, 3, tmp_path, history, lambda done: None))

        yield row


def broken(bounds: list[Bound]) -> list[Bound]:
    return [bound for bound in bounds if not bound.holds]


def test_mutated_frames(run):
    bounds = run(mutated_frames, 50_000)
    assert broken(bounds) == []
    assert bounds[0].seen == "50000"


def test_an_untyped_error_of_a_decoder_is_seen():
    def fragile(data: bytes) -> object:
        if b"\xc1" in data:
            raise KeyError(data)
        return decode_request(data)

    outcomes = decode_all(fragile, mutated(REQUESTS, 5_000, random.Random(1)))
    assert outcomes["KeyError"] > 0
    assert sum(outcomes.values()) == 5_000


def test_mutations_are_the_same_for_the_same_seed_and_mostly_invalid():
    first = list(mutated(REQUESTS, 2_000, random.Random(5)))
    assert first == list(mutated(REQUESTS, 2_000, random.Random(5)))
    assert first != list(mutated(REQUESTS, 2_000, random.Random(6)))
    refused = 0
    for data in first:
        try:
            decode_request(data)
        except ProtocolError as error:
            refused += error.code in (ErrorCode.BAD_REQUEST, ErrorCode.VERSION, "too_large")
    assert refused > 1_500


@pytest.mark.chaos
def test_mutated_messages_into_a_live_server(run):
    assert broken(run(mutated_messages, 3_000)) == []


@pytest.mark.chaos
def test_nobody_gets_in_uninvited(run):
    assert broken(run(unauthenticated, 10)) == []


@pytest.mark.chaos
def test_a_door_that_stands_open_is_seen():
    """Without keys the handshakes end well, and what is sent is delivered."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.setsockopt(zmq.LINGER, 0)
        port = router.bind_to_random_port("tcp://127.0.0.1")
        assert knock(port, Attempt(None), 3) == 0
        assert router.poll(2000)
