"""Face detection with OpenCV's Haar cascade: data and work grow together, the link decides.

The faces are one real face (NASA's portrait of Eileen Collins, in the public domain), cut out,
scaled, mirrored and lit differently, set into other photographs at places that are then known.
"""

from __future__ import annotations

import functools
import struct

import cv2
import cv2.data
import numpy as np

from offload.errors import TaskError
from offload.tasks.images import Pixels, decode_image, encode_jpeg, fill, load_photograph
from offload.tasks.task import Task

_CANVAS = {"small": (480, 360), "medium": (800, 600), "large": (1440, 1080)}
"""Width and height in pixels."""
_FACES = {"small": (1, 2), "medium": (1, 4), "large": (2, 6)}
"""Fewest and most faces."""
_HEAD = (140, 10, 310, 190)
"""The head in the portrait: left, top, right, bottom, in pixels."""
_FACE_CENTRE = (225.0, 118.0)
"""Middle of eyes and mouth in the portrait, marked by eye."""
_FACE_SIDE = 96.0
"""Ear to ear in the portrait, marked by eye."""
_BACKGROUNDS = ("coffee", "rocket", "retina", "hubble")
"""Photographs without a face, in which the cascade sees hardly any."""
_JPEG_QUALITY = 88

_COUNT = struct.Struct("<H")
_BOX = struct.Struct("<4H")
_MAX_PIXELS = 4_000_000

Box = tuple[float, float, float]
"""Centre x, centre y and side of a face, in pixels."""


class FaceTask(Task):
    """In: JPEG or PNG. Out: count, then left, top, width, height of each face, all uint16."""

    kind = "face"
    max_input_bytes = 8_000_000

    def make_input(self, size: str, seed: int) -> bytes:
        """A photograph with faces set into it at known places, as JPEG."""
        return encode_jpeg(self._compose(size, seed)[0], _JPEG_QUALITY)

    def _run(self, payload: bytes) -> bytes:
        pixels = decode_image(self.kind, payload, _MAX_PIXELS)
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        found = _detector().detectMultiScale(grey, 1.1, 6, minSize=(48, 48))
        boxes = sorted(tuple(int(number) for number in box) for box in found)
        return _COUNT.pack(len(boxes)) + b"".join(_BOX.pack(*box) for box in boxes)

    def check(self, size: str, seed: int, output: bytes) -> bool:
        """Each known face found once, within a third of its side; at most one box besides."""
        if len(output) < _COUNT.size:
            return False
        (count,) = _COUNT.unpack_from(output)
        if len(output) != _COUNT.size + count * _BOX.size:
            return False
        boxes = list(_BOX.iter_unpack(output[_COUNT.size :]))
        faces = self._compose(size, seed)[1]
        for face in faces:
            match = next((box for box in boxes if _matches(face, box)), None)
            if match is None:
                return False
            boxes.remove(match)
        return len(boxes) <= 1

    def _compose(self, size: str, seed: int) -> tuple[Pixels, list[Box]]:
        """The picture, and where its faces are."""
        rng = self._rng(size, seed)
        width, height = _CANVAS[size]
        background = _BACKGROUNDS[int(rng.integers(len(_BACKGROUNDS)))]
        canvas = fill(load_photograph(background), height, width)
        fewest, most = _FACES[size]
        columns, rows = 3, 2
        cells = rng.permutation(columns * rows)[: int(rng.integers(fewest, most + 1))]
        faces: list[Box] = []
        for cell in cells:
            head, centre_x, centre_y, side = _head(rng, height // rows, width // columns)
            left = int(cell % columns) * (width // columns)
            top = int(cell // columns) * (height // rows)
            left += int(rng.integers(width // columns - head.shape[1] + 1))
            top += int(rng.integers(height // rows - head.shape[0] + 1))
            canvas[top : top + head.shape[0], left : left + head.shape[1]] = head
            faces.append((left + centre_x, top + centre_y, side))
        return canvas, faces


def _head(
    rng: np.random.Generator, cell_height: int, cell_width: int
) -> tuple[Pixels, float, float, float]:
    """A variant of the head that fits the cell; centre x, centre y and side of its face."""
    left, top, right, bottom = _HEAD
    largest = min(cell_height / (bottom - top), cell_width / (right - left))
    smallest = 64.0 / _FACE_SIDE  # the detector is asked for faces of 48 pixels and more
    scale = float(rng.uniform(smallest, max(smallest, min(largest, 2.0))))
    scale = min(scale, largest)
    head = load_photograph("astronaut")[top:bottom, left:right]
    centre_x, centre_y = _FACE_CENTRE[0] - left, _FACE_CENTRE[1] - top
    if rng.random() < 0.5:
        head, centre_x = head[:, ::-1], right - left - centre_x
    light = rng.uniform(0.75, 1.15)
    lit = np.clip(head * light, 0, 255).astype(np.uint8)
    size = (int((right - left) * scale), int((bottom - top) * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled: Pixels = cv2.resize(lit, size, interpolation=way)
    return scaled, centre_x * scale, centre_y * scale, _FACE_SIDE * scale


def _matches(face: Box, box: tuple[int, ...]) -> bool:
    centre_x, centre_y, side = face
    left, top, width, height = box
    near = max(abs(left + width / 2 - centre_x), abs(top + height / 2 - centre_y)) <= side / 3
    return near and 0.6 <= width / side <= 1.6


@functools.cache
def _detector() -> cv2.CascadeClassifier:
    path: str = cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
    detector = cv2.CascadeClassifier(path)
    if detector.empty():
        raise TaskError(f"face: OpenCV cannot read its cascade {path}")
    return detector


TASK = FaceTask()
