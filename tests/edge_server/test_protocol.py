from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server import protocol as p
from offload.errors import OffloadError

TIMES = p.Times(received_s=10.0, sent_s=12.5, clock="c", compute_s=2.0)
TASK = bytes(range(16))
REQUESTS = [
    p.Run(7, "echo", 1500, TASK, 2),
    p.Run(7, "echo", 1500, TASK, zstd_bytes=9000, accept_zstd=True),
    p.Cancel(7, TASK, 2),
    p.Ping(1),
    p.StatsQuery(2**63 - 1),
]
REPLIES = [
    p.Done(7, TIMES),
    p.Done(7, TIMES, 9000),
    p.Failed(0, p.ErrorCode.BUSY, "full", TIMES, 0.25),
    p.Failed(1, p.ErrorCode.QUARANTINED, "it killed two workers", TIMES),
    p.Pong(3, TIMES, 1000),
    p.Pong(3, TIMES, 1000, 0.5, True),
    p.Stats(4, TIMES, 1.5, 2, 1, 0, 9, {"ok": 3}, 1, 0),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_request_round_trip(request_):
    assert p.decode_request(p.encode(request_)) == request_


@pytest.mark.parametrize("reply", REPLIES)
def test_reply_round_trip(reply):
    assert p.decode_reply(p.encode(reply)) == reply


def test_header_bytes_are_as_documented():
    expected = b"OFLD\x02" + msgspec.msgpack.encode({"t": "ping", "id": 5})
    assert p.encode(p.Ping(5)) == expected
    fields = {"t": "run", "id": 1, "kind": "echo", "budget_ms": 20, "task": TASK}
    assert p.encode(p.Run(1, "echo", 20, TASK)) == b"OFLD\x02" + msgspec.msgpack.encode(fields)
    assert p.decode_request(body(**fields)) == p.Run(1, "echo", 20, TASK, 1, 0, False)
    fields = {"t": "cancel", "id": 1, "task": TASK}
    assert p.encode(p.Cancel(1, TASK)) == b"OFLD\x02" + msgspec.msgpack.encode(fields)


def test_queue_is_all_server_time_but_the_task_and_never_negative():
    assert TIMES.queue_s == 0.5
    assert p.Times(10.0, 11.0, "c", compute_s=5.0).queue_s == 0.0


def test_another_version_is_named_and_keeps_its_id():
    body = msgspec.msgpack.encode({"t": "run", "id": 42, "of": "another schema"})
    with pytest.raises(p.ProtocolError, match="schema version 1; this side speaks 2") as info:
        p.decode_request(b"OFLD\x01" + body)
    assert (info.value.code, info.value.request_id) == ("version", 42)


def body(**fields: object) -> bytes:
    return b"OFLD\x02" + msgspec.msgpack.encode(fields)


def run(**fields: object) -> bytes:
    return body(**{"t": "run", "id": 9, "kind": "echo", "budget_ms": 1, "task": TASK, **fields})


@pytest.mark.parametrize(
    ("header", "code", "request_id"),
    [
        (b"", "bad_request", 0),
        (b"OFLD", "bad_request", 0),
        (b"GET / HTTP/1.1", "bad_request", 0),
        (b"OFLD\x02", "bad_request", 0),
        (b"OFLD\x02" + bytes(5000), "too_large", 0),
        (run(budget_ms=-1), "bad_request", 9),
        (run(budget_ms=3_600_001), "bad_request", 9),
        (run(kind="../etc/passwd"), "bad_request", 9),
        (run(kind="echo\n"), "bad_request", 9),
        (run(kind="e" * 65), "bad_request", 9),
        (run(attempt=0), "bad_request", 9),
        (run(extra=1), "bad_request", 9),
        (body(t="run", id=9, kind="echo", budget_ms=1), "bad_request", 9),
        (run(id=0), "bad_request", 0),
        (run(task=TASK + b"x"), "bad_request", 9),
        (run(task=TASK[:15]), "bad_request", 9),
        (run(task="sixteen letters."), "bad_request", 9),
        (run(zstd_bytes=-1), "bad_request", 9),
        (run(zstd_bytes=2**41), "bad_request", 9),
        (run(accept_zstd=1), "bad_request", 9),
        (body(t="eval", id=9), "bad_request", 9),
        (body(t="cancel", id=9), "bad_request", 9),
        (body(t="cancel", id=9, task=TASK[:15]), "bad_request", 9),
        (body(t="cancel", id=9, task=TASK, attempt=101), "bad_request", 9),
        (body(t="ping", id=2**63), "bad_request", 0),
        (b"OFLD\x02" + b"\x91" * 4000 + b"\xc0", "bad_request", 0),
        (b"OFLD\x02\x82\xa1t\xa4ping\xa2xx" + b"\x91" * 3000 + b"\xc0", "bad_request", 0),
        (b"OFLD\x02\x82\xa1t\xa4ping\xa2id\xa2\xff\xff", "bad_request", 0),
    ],
)
def test_bad_headers_become_typed_errors(header, code, request_id):
    with pytest.raises(p.ProtocolError) as info:
        p.decode_request(header)
    assert (info.value.code, info.value.request_id) == (code, request_id)
    assert len(info.value.message) <= p.MAX_MESSAGE_CHARS


def check(decode, data: bytes) -> None:
    """Either a message comes out, or the one error with a known code and a possible id."""
    outcome: object
    try:
        outcome = decode(data)
    except OffloadError as error:
        outcome = error
    if isinstance(outcome, p.ProtocolError):
        assert outcome.code in set(p.ErrorCode)
        assert 0 <= outcome.request_id < 2**63
    else:
        assert isinstance(outcome, p.Request | p.Reply)


@settings(max_examples=300, deadline=None)
@given(
    header=st.sampled_from([p.encode(header) for header in [*REQUESTS, *REPLIES]]),
    cuts=st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=4)), max_size=5),
    decode=st.sampled_from([p.decode_request, p.decode_reply]),
)
def test_mutated_headers_decode_or_raise_the_one_error(header, cuts, decode):
    data = bytearray(header)
    for position, replacement in cuts:
        data[position : position + len(replacement)] = replacement
    check(decode, bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_body_decodes_or_raises_the_one_error(data):
    check(p.decode_request, b"OFLD\x02" + data)


@pytest.mark.parametrize(
    ("sizes", "code"),
    [
        ([], "bad_request"),
        ([20], "bad_request"),
        ([20, 10, 0], "bad_request"),
        ([20] * 64, "bad_request"),
        ([20, 101], "too_large"),
    ],
)
def test_the_whole_message_is_bounded(sizes, code):
    with pytest.raises(p.ProtocolError) as info:
        p.check_frames(sizes, 100, 5)
    assert (info.value.code, info.value.request_id) == (code, 5)


def test_a_payload_at_the_limit_passes():
    p.check_frames([20, 100], 100)
    p.check_frames([20, 10], 100, 5, zstd_bytes=100)


def test_a_small_payload_may_not_decompress_to_a_large_one():
    with pytest.raises(p.ProtocolError, match="101 bytes once decompressed; the limit is 100"):
        p.check_frames([20, 10], 100, 5, zstd_bytes=101)


def test_task_ids_are_of_the_documented_length_and_differ():
    ids = {p.new_task_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(task) for task in ids} == {16}


def test_the_clock_has_one_name_on_one_machine_and_does_not_show_the_boot_id():
    name = p.clock_name()
    assert name == p.clock_name()
    with open("/proc/sys/kernel/random/boot_id") as file:
        assert name not in file.read().replace("-", "")


def test_a_long_message_is_cut_to_what_a_reply_may_carry():
    message = p.short_message("x" * 1000)
    assert len(message) == 300
    p.decode_reply(p.encode(p.Failed(1, p.ErrorCode.TASK_FAILED, message, TIMES)))
