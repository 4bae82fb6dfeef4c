"""What a compressed payload may do to the side that takes it."""

from __future__ import annotations

import contextlib
import random
import resource

import pytest

from edge_server.compression import compress, decompress
from edge_server.protocol import ProtocolError

zstandard = pytest.importorskip("zstandard", reason="pip install -r requirements-zstd.txt")

TEXT = b"the quick brown fox " * 500


@pytest.mark.parametrize("payload", [b"", b"x", TEXT, random.Random(1).randbytes(100_000)])
def test_there_and_back(payload):
    assert decompress(compress(payload), len(payload)) == payload


def test_text_becomes_much_smaller():
    assert len(compress(TEXT)) < len(TEXT) / 50


@pytest.mark.parametrize(
    ("frame", "size", "said"),
    [
        (compress(TEXT), len(TEXT) - 1, "says 10000 bytes of its size, the header 9999"),
        (b"", 5, "no zstd frame"),
        (b"no frame at all", 5, "no zstd frame"),
        (compress(TEXT)[:-4], len(TEXT), "no zstd frame"),
        (compress(TEXT) + b"more", len(TEXT), "no zstd frame"),
        (zstandard.ZstdCompressor(write_content_size=False).compress(TEXT), len(TEXT), "nothing"),
    ],
)
def test_a_frame_that_is_not_what_its_header_says_is_a_typed_error(frame, size, said):
    with pytest.raises(ProtocolError, match=said) as info:
        decompress(frame, size, request_id=7)
    assert (info.value.code, info.value.request_id) == ("bad_request", 7)


def test_a_bomb_is_refused_before_it_takes_memory():
    """A few KiB of frame that would become 512 MiB."""
    size = 2**29
    press = zstandard.ZstdCompressor(level=1).compressobj(size=size)
    bomb = b"".join(press.compress(bytes(2**20)) for _ in range(2**9)) + press.flush()
    assert len(bomb) < 2**17
    most_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ProtocolError, match=f"says {size} bytes of its size, the header 1000"):
        decompress(bomb, 1000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most_kib < 2**16


def test_mutated_frames_become_typed_errors_or_some_bytes_of_the_right_number():
    rng, frame = random.Random(2), compress(TEXT)
    for _ in range(3000):
        mutated = bytearray(frame)
        for _ in range(rng.randint(1, 4)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        with contextlib.suppress(ProtocolError):
            assert len(decompress(bytes(mutated), len(TEXT))) == len(TEXT)
