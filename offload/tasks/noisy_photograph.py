"""The input that blur and denoise share: the same bytes, for which opposite decisions are right."""

from __future__ import annotations

import cv2
import numpy as np

from offload.tasks.images import Pixels, encode_jpeg, load_photograph

SIDES = {"small": 256, "medium": 512, "large": 1024}
"""Pixels a side of the square image."""
MAX_PIXELS = 4_000_000
MAX_INPUT_BYTES = 12_000_000
JPEG_QUALITY = 95
NOISE_SIGMA = 20.0
"""Standard deviation of the added noise, in grey levels: a photograph in poor light."""

_SUBJECTS = ("chelsea", "rocket", "retina")
"""Photographs without much fine texture, which would look like noise to the denoiser."""


def clean_photograph(rng: np.random.Generator, size: str) -> Pixels:
    """A seeded square crop of a real photograph, scaled to the side of ``size``."""
    side = SIDES[size]
    photograph = load_photograph(_SUBJECTS[int(rng.integers(len(_SUBJECTS)))])
    height, width = photograph.shape[:2]
    crop = min(height, width, int(SIDES[size] * rng.uniform(1.0, 1.3)))
    top = int(rng.integers(height - crop + 1))
    left = int(rng.integers(width - crop + 1))
    square = photograph[top : top + crop, left : left + crop]
    if rng.random() < 0.5:
        square = square[:, ::-1]
    way = cv2.INTER_AREA if side < crop else cv2.INTER_CUBIC
    pixels: Pixels = cv2.resize(  # type: ignore[assignment]
        np.ascontiguousarray(square), (side, side), interpolation=way
    )
    return pixels


def noisy_jpeg(rng: np.random.Generator, size: str) -> bytes:
    """:func:`clean_photograph` with normal noise added, as JPEG."""
    clean = clean_photograph(rng, size)
    noise = rng.normal(0.0, NOISE_SIGMA, clean.shape)
    noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    return encode_jpeg(noisy, JPEG_QUALITY)


def psnr_db(first: Pixels, second: Pixels) -> float:
    """Peak signal-to-noise ratio of two images of one shape, in decibels."""
    error = float(np.mean((first.astype(np.float64) - second.astype(np.float64)) ** 2))
    return float("inf") if error == 0.0 else float(10.0 * np.log10(255.0**2 / error))
