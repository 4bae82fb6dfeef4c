"""What comes over the wire may be anything: bad payloads end in a TaskError, at once."""

from __future__ import annotations

import contextlib
import io
import random
import resource
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.chaos.mutations import mutated
from offload.errors import TaskError
from offload.tasks import KINDS, get_task, unavailable
from offload.tasks.task import Task

IMAGE_KINDS = ("ocr", "face", "blur", "denoise")


def get_task_or_skip(kind: str) -> Task:
    reason = unavailable().get(kind)
    if reason is not None:
        pytest.skip(reason)
    return get_task(kind)


def run(kind: str, payload: bytes) -> bytes:
    return get_task_or_skip(kind).run(payload)


@pytest.mark.parametrize("kind", KINDS)
def test_empty_and_overlong(kind: str) -> None:
    with pytest.raises(TaskError, match="empty"):
        run(kind, b"")
    with pytest.raises(TaskError, match="at most"):
        run(kind, bytes(get_task_or_skip(kind).max_input_bytes + 1))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lzma"])  # takes any bytes
def test_truncated_input(kind: str) -> None:
    payload = get_task_or_skip(kind).make_input("small", 0)
    for length in (1, len(payload) // 4):
        with pytest.raises(TaskError, match=kind):
            run(kind, payload[:length])


def png_of(width: int, height: int, body: bytes) -> bytes:
    """A black PNG of that size, its pixels deflated: a thousandth of what they take in memory."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", IMAGE_KINDS)
@pytest.mark.parametrize(("width", "height"), [(2_000, 2_001), (12_000_001, 1)])
def test_an_image_with_too_many_pixels_is_refused(kind: str, width: int, height: int) -> None:
    whole = png_of(width, height, zlib.compress(bytes(height * (1 + 3 * width))))
    assert len(whole) < 100_000
    with pytest.raises(TaskError, match=f"{width}x{height} pixels; at most"):
        run(kind, whole)


@pytest.mark.parametrize("kind", IMAGE_KINDS)
@pytest.mark.parametrize(("width", "height"), [(8193, 400), (400, 8193), (4_000_000, 1)])
def test_a_strip_of_pixels_is_refused(kind: str, width: int, height: int) -> None:
    strip = png_of(width, height, zlib.compress(bytes(height * (1 + 3 * width))))
    with pytest.raises(TaskError, match=f"{width}x{height} pixels; at most 8192 a side"):
        run(kind, strip)


@pytest.mark.parametrize("kind", IMAGE_KINDS)
@pytest.mark.parametrize(("width", "height"), [(8192, 1), (1, 8192), (8192, 3), (3, 200)])
def test_a_thin_image_gives_an_answer_or_a_task_error(kind: str, width: int, height: int) -> None:
    with contextlib.suppress(TaskError):
        thin = png_of(width, height, zlib.compress(bytes(height * (1 + 3 * width))))
        assert isinstance(run(kind, thin), bytes)


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_a_decompression_bomb_takes_no_memory(kind: str) -> None:
    bomb = png_of(60_000, 60_000, zlib.compress(bytes(1_000_000)))
    get_task_or_skip(kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TaskError, match=r"at most|decompression bomb"):
        run(kind, bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_other_image_formats_are_refused(kind: str) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(buffer, format="BMP")
    with pytest.raises(TaskError, match="JPEG or PNG"):
        run(kind, buffer.getvalue())


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_the_smallest_images_are_taken(kind: str) -> None:
    from PIL import Image

    for mode in ("L", "RGB", "RGBA", "P"):
        buffer = io.BytesIO()
        Image.new(mode, (1, 1)).save(buffer, format="PNG")
        run(kind, buffer.getvalue())


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"12" + b"." * 78, "81 or 256"),
        (b"0" + b"." * 80, "character b'0' at cell 0"),
        (b"\xff" + b"." * 255, "at cell 0"),
        (b"A" + b"." * 80, "character b'A'"),  # a digit of the 16x16 kind
        (b"11" + b"." * 79, "cells 0 and 1 both hold 1"),
    ],
)
def test_sudoku(payload: bytes, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        run("sudoku", payload)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"hello", "DEPTH FEN"),
        (b"2 hello", "DEPTH FEN"),
        (b"2 \xff\xfe", "DEPTH FEN"),
        (b"5 6k1/5ppp/8/8/8/8/8/R5K1 w - - 0 1", "depth 5 is not from 1 to 4"),
        (b"0 6k1/5ppp/8/8/8/8/8/R5K1 w - - 0 1", "depth 0"),
        (b"2 8/8/8/8/8/8/8/8 w - - 0 1", "cannot occur"),
        (b"2 R5k1/5ppp/8/8/8/8/8/6K1 b - - 0 1", "no legal move"),
    ],
)
def test_chess(payload: bytes, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        run("chess", payload)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"MMF4", "header"),
        (b"XXXX" + struct.pack("<I", 1) + bytes(8), "begins with"),
        (b"MMF4" + struct.pack("<I", 0), "order 0"),
        (b"MMF4" + struct.pack("<I", 2**32 - 1) + bytes(64), "order 4294967295"),
        (b"MMF4" + struct.pack("<I", 2) + bytes(31), "needs 40 bytes, not 39"),
    ],
)
def test_matmul(payload: bytes, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        run("matmul", payload)


@pytest.mark.parametrize("kind", ["chess", "sudoku", "face", "blur", "matmul"])
@given(noise=st.binary(min_size=1, max_size=300))
@settings(max_examples=40, deadline=None)
def test_noise_gives_an_answer_or_a_task_error(kind: str, noise: bytes) -> None:
    with contextlib.suppress(TaskError):
        assert isinstance(run(kind, noise), bytes)


def valid_images() -> list[bytes]:
    """Small images of every kind of PNG and JPEG that a decoder tells apart."""
    from PIL import Image, PngImagePlugin

    pixels = np.random.default_rng(1).integers(0, 255, (24, 20, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    text = PngImagePlugin.PngInfo()
    text.add_text("a", "b" * 100, zip=True)
    text.add_itxt("k", "v" * 50, zip=True)
    deep = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 200)
    wanted: list[tuple[Image.Image, dict[str, object]]] = [
        (image, {"format": "PNG", "pnginfo": text}),
        (image.convert("P"), {"format": "PNG"}),
        (image.convert("RGBA"), {"format": "PNG"}),
        (deep, {"format": "PNG"}),
        (image, {"format": "PNG", "save_all": True, "append_images": [image.rotate(90)]}),
        (image, {"format": "JPEG"}),
        (image, {"format": "JPEG", "progressive": True}),
        (image.convert("CMYK"), {"format": "JPEG"}),
    ]
    encoded: list[bytes] = []
    for picture, options in wanted:
        buffer = io.BytesIO()
        picture.save(buffer, **options)  # type: ignore[arg-type]
        encoded.append(buffer.getvalue())
    return encoded


@pytest.mark.filterwarnings("ignore:Invalid APNG")
def test_mutated_images_are_decoded_or_refused() -> None:
    get_task_or_skip("blur")
    from offload.tasks.images import decode_image

    refused = 0
    for data in mutated(valid_images(), 5_000, random.Random(2)):
        try:
            assert decode_image("blur", data, 4_000_000).shape[2] == 3
        except TaskError:
            refused += 1
    assert 2_000 < refused < 4_900


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered")
@pytest.mark.parametrize("kind", ["chess", "sudoku", "matmul"])
def test_mutated_inputs_give_an_answer_or_a_task_error(kind: str) -> None:
    task = get_task_or_skip(kind)
    seeds = [b"1 6k1/5ppp/8/8/8/8/8/R5K1 w - - 0 1", b"1 " + b"8/" * 7 + b"8 w KQkq e3 0 1"]
    if kind != "chess":
        seeds = [task.make_input("small", 0), b"MMF4" + struct.pack("<I", 2) + bytes(32)]
    for data in mutated(seeds, 2_000, random.Random(4)):
        if not data.startswith((b"2", b"3", b"4")):  # deeper searches take long, and tell no more
            with contextlib.suppress(TaskError):
                assert isinstance(run(kind, data), bytes)
