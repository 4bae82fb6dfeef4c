"""Bytes to pixels and back, with bounds; and the real photographs the image tasks start from.

The photographs are the ones the scikit-image wheel carries (no download): NASA's astronaut, coffee,
chelsea (a cat), rocket, a retina and Hubble's deep field.
"""

from __future__ import annotations

import functools
import importlib.util
import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from offload.errors import TaskError

Pixels = NDArray[np.uint8]
"""An RGB image, shape (height, width, 3)."""

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "coffee": "coffee.png",
    "chelsea": "chelsea.png",
    "rocket": "rocket.jpg",
    "retina": "retina.jpg",
    "hubble": "hubble_deep_field.jpg",
}
"""Name -> file in the scikit-image wheel."""

MAX_SIDE_PX = 8192
"""Beyond JPEG's 65,500 no answer can be written, and the work on a strip of pixels grows far beyond
that on a square of as many: a 4,000,000 x 1 image takes the denoiser 64 s."""

cv2.setNumThreads(1)


def decode_image(kind: str, payload: bytes, max_pixels: int) -> Pixels:
    """Decode a JPEG or PNG whose header has been looked at first.

    Args:
        kind: the task that asks, for the message.
        payload: the encoded image.
        max_pixels: an image that says it is larger is refused before it is decoded.

    Raises:
        TaskError: not a JPEG or PNG, truncated, larger than ``max_pixels``, or a side longer than
            :data:`MAX_SIDE_PX`.
    """
    try:
        with Image.open(io.BytesIO(payload), formats=("JPEG", "PNG")) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise TaskError(
                    f"{kind}: the image has {width}x{height} pixels; at most {max_pixels} are taken"
                )
            if max(width, height) > MAX_SIDE_PX:
                raise TaskError(
                    f"{kind}: the image has {width}x{height} pixels; "
                    f"at most {MAX_SIDE_PX} a side are taken"
                )
            return np.asarray(image.convert("RGB"))
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        OSError,
        SyntaxError,
        ValueError,
    ) as error:
        raise TaskError(f"{kind}: the payload is not a whole JPEG or PNG image: {error}") from error


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """Encode as JPEG of that quality (0 to 100)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


@functools.lru_cache(maxsize=len(PHOTOGRAPHS))
def load_photograph(name: str) -> Pixels:
    """One of :data:`PHOTOGRAPHS`, read-only.

    Raises:
        TaskError: the scikit-image package here does not hold the file.
    """
    # The files are read directly: importing skimage.data takes 0.3 s and may try to download.
    spec = importlib.util.find_spec("skimage")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else Path()
    path = folder / PHOTOGRAPHS[name]
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
    except OSError as error:
        raise TaskError(
            f"the photograph {path.name} is missing from scikit-image: "
            f"pip install --force-reinstall scikit-image ({error})"
        ) from error
    pixels.flags.writeable = False
    return pixels


def fill(photograph: Pixels, height: int, width: int) -> Pixels:
    """Scale a photograph so that it covers ``height`` x ``width``, and cut the middle out."""
    scale = max(height / photograph.shape[0], width / photograph.shape[1])
    scaled_width = max(width, round(photograph.shape[1] * scale))
    scaled_height = max(height, round(photograph.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(photograph, (scaled_width, scaled_height), interpolation=way)
    top, left = (scaled_height - height) // 2, (scaled_width - width) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width])
