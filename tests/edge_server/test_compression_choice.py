"""Compression is chosen where it pays: by the cost model's numbers, and by the clock."""

from __future__ import annotations

import random
import time

import pytest
from running_edge_server import a_task
from slow_relay import SlowRelay

from edge_server.compression_choice import CompressionChoice, Measured, saved_s
from offload.types import LinkState

pytest.importorskip("zstandard", reason="pip install -r requirements-zstd.txt")

SLOW = LinkState(rtt_s=0.02, jitter_s=0.0, loss=0.0, uplink_bps=4e6, downlink_bps=8e6)
FAST = LinkState(rtt_s=0.0002, jitter_s=0.0, loss=0.0, uplink_bps=1e10, downlink_bps=1e10)
WORDS = [b"%06x" % (number * 7919 % 2**24) for number in range(4000)]


def text(n_bytes: int, seed: int = 0) -> bytes:
    rng = random.Random(seed)
    return b" ".join(rng.choices(WORDS, k=n_bytes // 7 + 1))[:n_bytes]


def noise(n_bytes: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(n_bytes)


def test_the_saving_is_what_the_cost_model_says():
    """1 MB at ratio 4 over 8 Mbit/s down: about a second less three quarters, less 30 ms of CPU."""
    measured = Measured(ratio=4.0, compress_bps=50e6, decompress_bps=100e6)
    saved = saved_s(1_000_000, measured, SLOW, "cubic", uplink=False)
    header = 1514 / 1448
    assert saved == pytest.approx(0.75 * 8e6 * header / 8e6 - 0.02 - 0.01, rel=0.05)
    # Up, at half the rate, it saves twice the transfer.
    up = saved_s(1_000_000, measured, SLOW, "cubic", uplink=True)
    assert up + 0.03 == pytest.approx(2 * (saved + 0.03), rel=0.1)
    assert saved_s(1_000_000, measured, FAST, "cubic", uplink=True) < 0


@pytest.mark.parametrize(
    ("payload", "link", "is_compressed"),
    [
        (text(300_000), SLOW, True),
        (text(300_000), FAST, False),
        (noise(300_000), SLOW, False),
        (text(1023), SLOW, False),
        (text(300_000), None, False),
        (text(300_000), LinkState(0.02, 0.0, 0.0, float("nan"), float("nan")), False),
    ],
)
def test_the_choice_follows_link_and_payload(payload, link, is_compressed):
    choice = CompressionChoice(lambda: link)
    sent, size = choice.pack("echo", payload)
    assert (size == len(payload), sent != payload) == (is_compressed, is_compressed)
    assert (choice.compressed, choice.plain) == (int(is_compressed), int(not is_compressed))
    if not is_compressed:
        assert size == 0
    else:
        assert choice.saved_bytes == len(payload) - len(sent) > len(payload) / 4


def test_a_kind_that_does_not_compress_is_not_sampled_each_time():
    choice = CompressionChoice(lambda: SLOW)
    for seed in range(3):
        choice.pack("noise", noise(2_000_000, seed))
    for _ in range(20):
        choice.pack("noise", b"y" * 2_000_000)  # would compress, but the kind is not looked at
    assert (choice.compressed, choice.plain) == (0, 23)
    for _ in range(40):  # until it is looked at again
        choice.pack("noise", b"y" * 2_000_000)
    assert choice.compressed > 0


def test_answers_are_asked_for_compressed_where_that_pays():
    choice = CompressionChoice(lambda: SLOW)
    assert not choice.wants_answers("echo")  # nothing is known of them yet
    choice.saw_answer("echo", text(200_000))
    choice.saw_answer("noise", noise(200_000))
    choice.saw_answer("short", b"yes")
    wanted = [choice.wants_answers(kind) for kind in ("echo", "noise", "short", "never seen")]
    assert wanted == [True, False, False, False]
    assert not CompressionChoice(lambda: FAST).wants_answers("echo")


def test_without_the_package_it_says_so_and_sends_as_it_is(monkeypatch):
    monkeypatch.setattr("edge_server.compression_choice.AVAILABLE", False)
    choice = CompressionChoice(lambda: SLOW)
    assert "requirements-zstd.txt" in choice.missing
    choice.saw_answer("echo", text(200_000))
    assert choice.pack("echo", text(50_000)) == (text(50_000), 0)
    assert not choice.wants_answers("echo")


class Notes:
    """What the link's observer is told."""

    def __init__(self) -> None:
        self.bytes: list[tuple[int, bool]] = []

    def saw_rtt(self, rtt_s: float) -> None: ...

    def saw_transfer(self, n_bytes: int, seconds: float, *, uplink: bool) -> None:
        self.bytes.append((n_bytes, uplink))


def test_compressed_there_and_back_over_a_slow_link(start_server, connect):
    """Of 400 kB of text less than half crosses the link, and comes out whole."""
    payload, carried = text(400_000), {}
    port = start_server().port
    for compressor in (None, CompressionChoice(lambda: SLOW)):
        notes = Notes()
        with SlowRelay(port, bytes_per_s=2_000_000) as relay:
            client = connect(relay.port, compressor=compressor, observer=notes)
            client.ping()
            for _ in range(2):  # the second answer comes compressed too
                start_s = time.monotonic()
                result = client.execute(a_task("echo"), payload, 60.0)
                assert result.output == payload
                assert 0 < result.cost.seconds <= time.monotonic() - start_s
            client.close()
            carried[compressor is not None] = relay.forwarded_bytes
        uplinks = [size for size, uplink in notes.bytes if uplink]
        downlinks = [size for size, uplink in notes.bytes if not uplink]
        if compressor is None:
            assert (uplinks, downlinks) == ([400_000] * 2, [400_000] * 2)
        else:
            assert max(uplinks) < 200_000  # what went over the link is what counts for its rate
            assert (downlinks[0], downlinks[1] < 200_000) == (400_000, True)
    assert carried[False] > 800_000
    assert carried[True] < 400_000


def test_a_server_without_zstd_is_never_sent_any(start_server, connect, monkeypatch):
    monkeypatch.setattr("edge_server.requests.ZSTD_AVAILABLE", False)
    choice = CompressionChoice(lambda: SLOW)
    client = connect(start_server().port, compressor=choice)
    client.ping()
    assert client.execute(a_task("echo"), text(50_000), 10.0).output == text(50_000)
    assert (choice.compressed, choice.plain) == (0, 0)
