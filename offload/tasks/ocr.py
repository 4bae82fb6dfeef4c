"""Optical character recognition (PP-OCR networks on ONNX Runtime): heavy work, middling data.

The page is drawn from a seeded text, so its right reading is known.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rapidocr import RapidOCR
from rapidocr.ch_ppocr_det.utils import ResizeImgError as DetectorSizeError
from rapidocr.utils.process_img import ResizeImgError

from offload.errors import TaskError
from offload.tasks.images import decode_image, encode_jpeg
from offload.tasks.task import Task

_LINES = {"small": 2, "medium": 4, "large": 8}
_WIDTHS_PX = {"small": 440, "medium": 640, "large": 880}
_FONT_PX = 24
_LINE_PX = 40
_MARGIN_PX = 30
_PAPER_SIGMA = 4.0
"""Grain of the paper, in grey levels; it is what a scan's bytes are mostly made of."""
_JPEG_QUALITY = 90
_MAX_PIXELS = 4_000_000
_DETECTOR_SIDE_PX = 960
"""The text detector's image is scaled down to this side, never up: small pages stay cheap."""
_MAX_CHARACTER_ERROR = 0.05

_VOCABULARY = """
    anchor autumn basket bridge candle castle copper corner desert engine falcon fabric forest
    garden glacier hammer harbour island journey kitchen ladder lantern marble meadow mirror
    morning mountain needle number orange oxygen paper pepper planet pocket quarter rabbit river
    saddle season shadow signal silver summer temple thunder timber tunnel valley velvet village
    violet walnut weather whistle window winter yellow 1492 2048 365 77
"""
_WORDS = tuple(_VOCABULARY.split())


class OcrTask(Task):
    """In: JPEG or PNG. Out: the lines found, UTF-8, one a line."""

    kind = "ocr"
    max_input_bytes = 8_000_000

    def make_input(self, size: str, seed: int) -> bytes:
        """A page of seeded words, as JPEG."""
        rng = self._rng(size, seed)
        lines = _text(rng, size)
        height = 2 * _MARGIN_PX + _LINE_PX * len(lines)
        paper = 235.0 + rng.normal(0.0, _PAPER_SIGMA, (height, _WIDTHS_PX[size], 1))
        page = np.repeat(np.clip(paper, 0, 255).astype(np.uint8), 3, axis=2)
        image = Image.fromarray(page)
        draw = ImageDraw.Draw(image)
        ink = int(rng.integers(10, 70))
        for row, line in enumerate(lines):
            place = (_MARGIN_PX, _MARGIN_PX + row * _LINE_PX)
            draw.text(place, line, font=_font(), fill=(ink, ink, ink))
        return encode_jpeg(np.asarray(image), _JPEG_QUALITY)

    def _run(self, payload: bytes) -> bytes:
        pixels = decode_image(self.kind, payload, _MAX_PIXELS)
        # The networks were trained on OpenCV's channel order.
        try:
            result: Any = _reader()(np.ascontiguousarray(pixels[:, :, ::-1]))
        except (DetectorSizeError, ResizeImgError) as error:
            height, width = pixels.shape[:2]
            raise TaskError(f"ocr: an image of {width}x{height} is too thin to read") from error
        return "\n".join(result.txts or ()).encode()

    def check(self, size: str, seed: int, output: bytes) -> bool:
        """At most 5 % of the characters wrong (edit distance), spaces and line ends left out."""
        try:
            read = "".join(output.decode().split())
        except UnicodeDecodeError:
            return False
        truth = "".join("".join(_text(self._rng(size, seed), size)).split())
        if len(read) > 2 * len(truth):
            return False
        return edit_distance(truth, read) <= _MAX_CHARACTER_ERROR * len(truth)


def edit_distance(first: str, second: str) -> int:
    """Levenshtein's distance: fewest insertions, deletions and replacements."""
    row = list(range(len(second) + 1))
    for i, character in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            cost = min(row[j] + 1, row[j - 1] + 1, diagonal + (character != other))
            diagonal, row[j] = row[j], cost
    return row[-1]


def _text(rng: np.random.Generator, size: str) -> list[str]:
    """Seeded lines of words that fit the page's width; the first draws of ``rng``."""
    room = _WIDTHS_PX[size] - 2 * _MARGIN_PX
    lines: list[str] = []
    for _ in range(_LINES[size]):
        # Lines of a real page end at different places.
        length = room * rng.uniform(0.6, 1.0)
        line = _WORDS[int(rng.integers(len(_WORDS)))]
        while True:
            longer = f"{line} {_WORDS[int(rng.integers(len(_WORDS)))]}"
            if _font().getlength(longer) > length:
                break
            line = longer
        lines.append(line)
    return lines


@functools.cache
def _font() -> Any:
    """The font that Pillow carries inside its wheel, so that every machine draws the same page."""
    return ImageFont.load_default(_FONT_PX)


@functools.cache
def _reader() -> RapidOCR:
    """The networks, loaded once; they lie in the rapidocr wheel."""
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            # Pages are upright, and the orientation network turns one long line in ten over.
            "Global.use_cls": False,
            "Det.limit_type": "max",
            "Det.limit_side_len": _DETECTOR_SIDE_PX,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


TASK = OcrTask()
