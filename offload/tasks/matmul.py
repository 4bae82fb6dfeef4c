"""Product of two float32 matrices: the control that should never leave the device.

A multiplication does n operations a number sent; an edge four times faster would need a link of
hundreds of Mbit/s before sending pays.
"""

from __future__ import annotations

import functools
import struct

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from offload.errors import TaskError
from offload.tasks.task import Task

_ORDERS = {"small": 256, "medium": 512, "large": 1024}
_MAX_ORDER = 2048
_HEADER = struct.Struct("<4sI")
_MAGIC = b"MMF4"
_FREIVALDS_ROUNDS = 4

Matrix = NDArray[np.float32]


class MatmulTask(Task):
    """In: magic, order n as uint32, then A and B, row by row, little-endian float32. Out: A @ B."""

    kind = "matmul"
    max_input_bytes = _HEADER.size + 2 * 4 * _MAX_ORDER**2

    def make_input(self, size: str, seed: int) -> bytes:
        """Two matrices of normal numbers."""
        rng = self._rng(size, seed)
        order = _ORDERS[size]
        numbers = rng.standard_normal((2, order, order), dtype=np.float32)
        return _HEADER.pack(_MAGIC, order) + numbers.astype("<f4").tobytes()

    def _run(self, payload: bytes) -> bytes:
        first, second = self._decode(payload)
        with _threads().limit(limits=1, user_api="blas"):
            product = first @ second
        return product.astype("<f4", copy=False).tobytes()

    def check(self, size: str, seed: int, output: bytes) -> bool:
        """Freivalds' test: A (B x) = C x for random x, in float64, with float32's rounding allowed.

        R. Freivalds, "Probabilistic machines can use less running time", IFIP 1977.
        """
        first, second = (m.astype(np.float64) for m in self._decode(self.make_input(size, seed)))
        order = len(first)
        if len(output) != 4 * order * order:
            return False
        answer = np.frombuffer(output, dtype="<f4").reshape(order, order).astype(np.float64)
        if not np.isfinite(answer).all():
            return False
        probes = np.random.default_rng(seed + 1).choice([-1.0, 1.0], (order, _FREIVALDS_ROUNDS))
        residual = np.abs(first @ (second @ probes) - answer @ probes)
        # An entry of C carries about eps*sqrt(n) of rounding and a row of C x sums n of them: right
        # products reach 12 eps n. A single entry that is off by 0.01 stands above the tolerance.
        tolerance = 40.0 * float(np.finfo(np.float32).eps) * order
        return bool((residual <= tolerance).all())

    def _decode(self, payload: bytes) -> tuple[Matrix, Matrix]:
        if len(payload) < _HEADER.size:
            raise TaskError(f"matmul: a header of {_HEADER.size} bytes is due, not {len(payload)}")
        magic, order = _HEADER.unpack_from(payload)
        if magic != _MAGIC:
            raise TaskError(f"matmul: the payload begins with {magic!r}, not {_MAGIC!r}")
        if not 1 <= order <= _MAX_ORDER:
            raise TaskError(f"matmul: order {order} is not from 1 to {_MAX_ORDER}")
        wanted = _HEADER.size + 2 * 4 * order * order
        if len(payload) != wanted:
            raise TaskError(f"matmul: order {order} needs {wanted} bytes, not {len(payload)}")
        numbers = np.frombuffer(payload, dtype="<f4", offset=_HEADER.size)
        first, second = numbers.reshape(2, order, order)
        return first, second


@functools.cache
def _threads() -> ThreadpoolController:
    """The loaded BLAS libraries, looked up once: it takes milliseconds."""
    return ThreadpoolController()


TASK = MatmulTask()
