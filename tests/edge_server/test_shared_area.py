"""The memory that the server and a worker share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from edge_server.executors.shared_area import AREA_BYTES, SharedArea, area_descriptor


@pytest.fixture
def ends() -> Iterator[tuple[SharedArea, SharedArea]]:
    descriptor = area_descriptor()
    one, other = SharedArea(descriptor), SharedArea(descriptor)
    os.close(descriptor)
    yield one, other
    one.close()
    other.close()


def test_a_body_is_taken_as_it_was_put(ends):
    one, other = ends
    body = os.urandom(100_000)
    assert one.put(memoryview(body))
    assert other.take(len(body)) == body


def test_a_second_body_has_to_wait_for_the_first_to_be_taken(ends):
    one, other = ends
    assert one.put(b"first")
    assert not one.put(b"second")
    assert other.take(5) == b"first"
    assert one.put(b"second")
    assert other.take(6) == b"second"


def test_the_largest_body_fits_and_a_larger_one_is_left_to_the_channel(ends):
    one, other = ends
    assert not one.put(bytes(AREA_BYTES + 1))
    largest = b"x" * AREA_BYTES
    assert one.put(largest)
    assert other.take(AREA_BYTES) == largest
