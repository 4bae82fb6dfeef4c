"""What tasks are expected to take, from what they took before."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from offload.errors import ConfigError
from offload.tasks import KINDS
from offload.tasks.profile_table import load_profile_table

_NEWEST_WEIGHT = 0.3
_UNKNOWN_OUTPUT_BYTES = 1000.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one task is expected to take.

    Attributes:
        local_s, edge_s: seconds of CPU on either side.
        output_bytes: of its answer.
        is_guess: nothing of this kind was ever seen; the seconds mean nothing.
    """

    local_s: float
    edge_s: float
    output_bytes: float
    is_guess: bool


class _Mean:
    """A moving geometric mean; the first run loads models, so the second one replaces it."""

    def __init__(self, value: float, *, settled: bool) -> None:
        self._log = math.log(max(value, 1e-9))
        self._settled = settled

    @property
    def value(self) -> float:
        return math.exp(self._log)

    def add(self, value: float) -> None:
        weight = _NEWEST_WEIGHT if self._settled else 1.0
        self._log += weight * (math.log(max(value, 1e-9)) - self._log)
        self._settled = True


class Predictions:
    """Learns, kind by kind and for inputs of about the same size. Any thread.

    The project's own tasks start from the table that ships; others from nothing, or from what the
    caller says of them. A side that was never tried is taken to be as fast as the other, but for
    the device's slowdown.

    Args:
        slowdown: times slower the device is than the server.
    """

    def __init__(self, slowdown: float) -> None:
        self._slowdown = slowdown
        self._lock = threading.Lock()
        self._means: dict[tuple[str, str], dict[int, _Mean]] = {}
        for row in load_profile_table().rows:
            bucket = _bucket(row.input_bytes)
            for what, value in (
                ("device", row.edge_s * slowdown),  # of a device as fast as the user says
                ("edge", row.edge_s),
                ("output", row.output_bytes),
            ):
                self._of(row.kind, what)[bucket] = _Mean(value, settled=True)

    def of(self, kind: str, payload_bytes: int) -> Prediction:
        """What a task of that kind and input is expected to take."""
        bucket = _bucket(payload_bytes)
        with self._lock:
            local_s = _nearest(self._of(kind, "device"), bucket)
            edge_s = _nearest(self._of(kind, "edge"), bucket)
            output = _nearest(self._of(kind, "output"), bucket)
        if local_s is None and edge_s is None:
            local_s = edge_s = 0.0
            is_guess = True
        else:
            is_guess = False
            if local_s is None:
                assert edge_s is not None
                local_s = edge_s * self._slowdown
            if edge_s is None:
                edge_s = local_s / self._slowdown
        return Prediction(
            local_s, edge_s, _UNKNOWN_OUTPUT_BYTES if output is None else output, is_guess
        )

    def expect(self, kind: str, payload_bytes: int, local_s: float) -> None:
        """What the caller knows of a kind that was never run; ignored once it was.

        Raises:
            ConfigError: that is no time.
        """
        if not (math.isfinite(local_s) and local_s > 0):
            raise ConfigError(f"local_s is {local_s}; give the seconds on the device, above 0")
        with self._lock:
            if not self._of(kind, "device"):
                mean = _Mean(local_s, settled=False)
                self._of(kind, "device")[_bucket(payload_bytes)] = mean

    def saw(self, kind: str, payload_bytes: int, site: str, compute_s: float, output: int) -> None:
        """A task ran: ``site`` is ``"device"`` or ``"edge"``, ``output`` its answer's bytes."""
        bucket = _bucket(payload_bytes)
        with self._lock:
            for what, value in ((site, compute_s), ("output", float(output))):
                means = self._of(kind, what)
                if bucket in means:
                    means[bucket].add(value)
                else:
                    known = bool(means) or kind in KINDS
                    means[bucket] = _Mean(value, settled=known or what == "output")

    def _of(self, kind: str, what: str) -> dict[int, _Mean]:
        return self._means.setdefault((kind, what), {})


def _bucket(payload_bytes: float) -> int:
    """Inputs within a factor of two of each other are one."""
    return round(math.log2(max(1.0, payload_bytes)))


def _nearest(means: dict[int, _Mean], bucket: int) -> float | None:
    if not means:
        return None
    return means[min(means, key=lambda known: abs(known - bucket))].value
