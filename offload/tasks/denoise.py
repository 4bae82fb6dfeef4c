"""Non-local-means denoising of the very bytes that blur takes: the same data, much more work."""

from __future__ import annotations

import cv2

from offload.errors import TaskError
from offload.tasks import noisy_photograph as source
from offload.tasks.images import decode_image, encode_jpeg
from offload.tasks.task import Task

_STRENGTH = 14.0
_TEMPLATE_PX = 7
_SEARCH_PX = 21
_MIN_GAIN_DB = 2.0


class DenoiseTask(Task):
    """In: JPEG or PNG. Out: JPEG of the same shape with less noise.

    Buades, Coll, Morel: "Non-Local Means Denoising", IPOL 2011, as OpenCV implements it.
    """

    kind = "denoise"
    max_input_bytes = source.MAX_INPUT_BYTES

    def make_input(self, size: str, seed: int) -> bytes:
        """The noisy photograph that blur takes too."""
        return source.noisy_jpeg(self._rng(size, seed), size)

    def _run(self, payload: bytes) -> bytes:
        pixels = decode_image(self.kind, payload, source.MAX_PIXELS)
        cleaned = cv2.fastNlMeansDenoisingColored(
            pixels, None, _STRENGTH, _STRENGTH, _TEMPLATE_PX, _SEARCH_PX
        )
        return encode_jpeg(cleaned, source.JPEG_QUALITY)  # type: ignore[arg-type]

    def check(self, size: str, seed: int, output: bytes) -> bool:
        """Must be closer to the photograph before the noise, by 2 dB, than the input was."""
        clean = source.clean_photograph(self._rng(size, seed), size)
        noisy = decode_image(self.kind, self.make_input(size, seed), source.MAX_PIXELS)
        try:
            answer = decode_image(self.kind, output, source.MAX_PIXELS)
        except TaskError:
            return False
        if answer.shape != clean.shape:
            return False
        gain_db = source.psnr_db(answer, clean) - source.psnr_db(noisy, clean)
        return gain_db >= _MIN_GAIN_DB


TASK = DenoiseTask()
