"""Valid bytes made invalid, fast: some microseconds each."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_MARKERS = bytes.fromhex(
    "80 8f 90 9f a0 bf c0 c1 c4 c6 c7 c9 ca cb cf d3 d4 d8 d9 db dc dd de df 7f ff 00 22 7b 5b"
)
"""First bytes of every type of msgpack: maps, arrays, texts, numbers, extensions; a few more."""
_MAX_BYTES = 8192


def mutated(seeds: Sequence[bytes], count: int, rng: random.Random) -> Iterator[bytes]:
    """So many mutations of the seeds; the same ones for the same generator.

    A byte or some are changed, the end is cut off, the halves of two seeds are joined, a piece is
    repeated up to thousands of times, or all is drawn anew.
    """
    draw, randrange = rng.random, rng.randrange
    makers = (_change, _change, _mark, _mark, _cut, _join, _repeat, _invent)
    for _ in range(count):
        seed = seeds[int(draw() * len(seeds))]
        if not seed:
            yield rng.randbytes(randrange(1, 64))
        else:
            yield makers[int(draw() * len(makers))](seed, seeds, rng)


def _change(seed: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(1 + int(rng.random() * 3)):
        data[int(rng.random() * len(data))] = int(rng.random() * 256)
    return bytes(data)


def _mark(seed: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    data = bytearray(seed)
    data[int(rng.random() * len(data))] = _MARKERS[int(rng.random() * len(_MARKERS))]
    return bytes(data)


def _cut(seed: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    return seed[: int(rng.random() * len(seed))]


def _join(seed: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    other = seeds[int(rng.random() * len(seeds))]
    return seed[: int(rng.random() * len(seed))] + other[int(rng.random() * len(other)) :]


def _repeat(seed: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    start = int(rng.random() * len(seed))
    piece = seed[start : start + 1 + int(rng.random() * 4)]
    times = 1 << int(rng.random() * 12)
    return (seed[:start] + piece * times + seed[start:])[:_MAX_BYTES]


def _invent(seed: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    start = int(rng.random() * 8)  # the magic and the version may stay
    return seed[:start] + rng.randbytes(1 + int(rng.random() * len(seed)))
