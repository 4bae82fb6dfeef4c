"""Is it worth compressing? Decided by the cost model: seconds on the link against seconds of CPU.

    raw        transfer(bytes)
    compressed bytes / compressing speed + transfer(bytes / ratio) + bytes / decompressing speed

The transfers are :func:`offload.link_model.transfer_s` on the link as last measured. Ratio and
speeds are measured, kind by kind, on a sample from the middle of a payload; the other side is taken
to decompress as fast as this one.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge_server.compression import AVAILABLE, HOW_TO_GET, compress, decompress
from offload.link_model import transfer_s
from offload.types import LinkState

LEAST_BYTES = 1024
"""Shorter payloads fit a packet or two; nothing is to be won."""
SAMPLE_BYTES = 65_536
SAMPLE_EVERY = 32
"""Payloads of a kind from one sample to the next."""
_NEWEST_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Measured:
    """What zstd does to payloads of one kind.

    Attributes:
        ratio: bytes before over bytes after.
        compress_bps, decompress_bps: bytes a second, of the decompressed ones.
    """

    ratio: float
    compress_bps: float
    decompress_bps: float


def measure(payload: bytes) -> Measured:
    """Compress a sample from the middle of a payload, and decompress it again.

    In CPU time: what else this machine did in these few milliseconds says nothing of the next.
    """
    start = max(0, (len(payload) - SAMPLE_BYTES) // 2)
    sample = payload[start : start + SAMPLE_BYTES]
    began_s = time.thread_time()
    frame = compress(sample)
    packed_s = time.thread_time()
    decompress(frame, len(sample))
    done_s = time.thread_time()
    return Measured(
        ratio=len(sample) / len(frame),
        compress_bps=len(sample) / max(packed_s - began_s, 1e-9),
        decompress_bps=len(sample) / max(done_s - packed_s, 1e-9),
    )


def saved_s(
    n_bytes: int, measured: Measured, link: LinkState, congestion_control: str, *, uplink: bool
) -> float:
    """Seconds that compressing saves on this link; negative: it costs more than it saves."""

    def on_link(size: float) -> float:
        rate_bps = link.uplink_bps if uplink else link.downlink_bps
        return float(
            transfer_s(size, rate_bps, link.rtt_s, link.loss, congestion_control, link.jitter_s)
        )

    working_s = n_bytes / measured.compress_bps + n_bytes / measured.decompress_bps
    return on_link(n_bytes) - on_link(n_bytes / measured.ratio) - working_s


class CompressionChoice:
    """A :class:`edge_server.client.Compressor` that follows the link. Any thread.

    Args:
        link: the link as last measured; None, or NaN for a direction's rate or the RTT: not known,
            and nothing is compressed that way.
        congestion_control: of the connections.

    Attributes:
        compressed, plain: payloads sent the one way and the other.
        saved_bytes: by which the compressed ones were shorter.
        missing: why nothing can be compressed here, with the way out; empty where it can.
    """

    def __init__(self, link: Callable[[], LinkState | None], congestion_control: str = "cubic"):
        self._link = link
        self._congestion_control = congestion_control
        self._inputs: dict[str, tuple[Measured, int]] = {}
        self._outputs: dict[str, tuple[Measured, int]] = {}
        self._answer_bytes: dict[str, int] = {}
        self._lock = threading.Lock()
        self.compressed = self.plain = self.saved_bytes = 0
        self.missing = "" if AVAILABLE else f"nothing is compressed: {HOW_TO_GET}"
        if AVAILABLE:
            measure(bytes(LEAST_BYTES))  # loads the library, outside of what is measured

    def pack(self, kind: str, payload: bytes) -> tuple[bytes, int]:
        """See :class:`edge_server.client.Compressor`."""
        if self.missing or not self._pays(kind, payload, self._inputs, uplink=True):
            self._count(0)
            return payload, 0
        packed = compress(payload)
        if len(packed) >= len(payload):
            self._count(0)
            return payload, 0
        self._count(len(payload) - len(packed))
        return packed, len(payload)

    def wants_answers(self, kind: str) -> bool:
        """See :class:`edge_server.client.Compressor`; not before one answer was seen as it is."""
        with self._lock:
            known, size = self._outputs.get(kind), self._answer_bytes.get(kind, 0)
        return known is not None and self._saves(size, known[0], uplink=False)

    def saw_answer(self, kind: str, output: bytes) -> None:
        """See :class:`edge_server.client.Compressor`."""
        if not self.missing and len(output) >= LEAST_BYTES:
            self._measured(kind, output, self._outputs)
        with self._lock:
            self._answer_bytes[kind] = len(output)

    def _pays(
        self, kind: str, payload: bytes, known: dict[str, tuple[Measured, int]], *, uplink: bool
    ) -> bool:
        if len(payload) < LEAST_BYTES or self._known_link() is None:
            return False
        return self._saves(len(payload), self._measured(kind, payload, known), uplink=uplink)

    def _saves(self, n_bytes: int, measured: Measured, *, uplink: bool) -> bool:
        link = self._known_link()
        if link is None or n_bytes < LEAST_BYTES or measured.ratio <= 1.0:
            return False
        return saved_s(n_bytes, measured, link, self._congestion_control, uplink=uplink) > 0.0

    def _known_link(self) -> LinkState | None:
        link = self._link()
        if link is None:
            return None
        if math.isnan(link.jitter_s):  # after a single round trip
            link = replace(link, jitter_s=0.0)
        return link

    def _measured(
        self, kind: str, payload: bytes, known: dict[str, tuple[Measured, int]]
    ) -> Measured:
        """What is known of a kind; now and then from a new sample."""
        with self._lock:
            before, uses = known.get(kind, (None, 0))
            if before is not None and uses < SAMPLE_EVERY:
                known[kind] = (before, uses + 1)
                return before
        now = measure(payload)
        with self._lock:
            mean = now if before is None else _mean(before, now)
            known[kind] = (mean, 1)
        return mean

    def _count(self, saved_bytes: int) -> None:
        with self._lock:
            self.compressed += saved_bytes > 0
            self.plain += saved_bytes == 0
            self.saved_bytes += saved_bytes


def _mean(before: Measured, now: Measured) -> Measured:
    """Geometric, since all three are ratios."""

    def between(one: float, other: float) -> float:
        return one ** (1.0 - _NEWEST_WEIGHT) * other**_NEWEST_WEIGHT

    return Measured(
        between(before.ratio, now.ratio),
        between(before.compress_bps, now.compress_bps),
        between(before.decompress_bps, now.decompress_bps),
    )
