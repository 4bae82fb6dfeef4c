"""Gaussian blur of a photograph: much data, little work. Rarely worth sending."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from offload.errors import TaskError
from offload.tasks import noisy_photograph as source
from offload.tasks.images import decode_image, encode_jpeg
from offload.tasks.task import Task

SIGMA_PX = 3.0
_MIN_PSNR_DB = 47.0
"""Agreement asked of the answer, which went through JPEG, with SciPy's filter: right answers reach
48.5 to 49.5, a sigma of 4 instead of 3 gives 38 to 47."""


class BlurTask(Task):
    """In: JPEG or PNG. Out: JPEG of the same shape, blurred with sigma 3 pixels."""

    kind = "blur"
    max_input_bytes = source.MAX_INPUT_BYTES

    def make_input(self, size: str, seed: int) -> bytes:
        """The noisy photograph that denoise takes too."""
        return source.noisy_jpeg(self._rng(size, seed), size)

    def _run(self, payload: bytes) -> bytes:
        pixels = decode_image(self.kind, payload, source.MAX_PIXELS)
        blurred = cv2.GaussianBlur(pixels, (0, 0), SIGMA_PX)
        return encode_jpeg(blurred, source.JPEG_QUALITY)  # type: ignore[arg-type]

    def check(self, size: str, seed: int, output: bytes) -> bool:
        """Against SciPy's Gaussian filter, which shares no code with OpenCV's."""
        given = decode_image(self.kind, self.make_input(size, seed), source.MAX_PIXELS)
        try:
            answer = decode_image(self.kind, output, source.MAX_PIXELS)
        except TaskError:
            return False
        if answer.shape != given.shape:
            return False
        wanted = ndimage.gaussian_filter(
            given.astype(np.float32), sigma=(SIGMA_PX, SIGMA_PX, 0.0), mode="mirror"
        )
        return source.psnr_db(answer, wanted) >= _MIN_PSNR_DB


TASK = BlurTask()
