"""What one direction of the emulator is set to, in the units it counts in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netem.qdisc import netem_limit_packets, tbf_limit_bytes
from offload.types import DirectionProfile


@dataclass(frozen=True, slots=True)
class DirectionSettings:
    """One direction, in whole nanoseconds, bit/s and bytes.

    Attributes:
        delay_ns: mean one-way delay.
        jitter_ns: standard deviation of the delay (normal, cut off at no delay).
        loss_enter: Gilbert-Elliott: chance a packet that the link enters its losing state.
        loss_leave: Gilbert-Elliott: chance a packet that it leaves that state.
        rate_bps: the bottleneck's rate; None: there is no bottleneck.
        queue_bytes: what the bottleneck's queue holds.
        held_packets: what delay line and queue hold together.
    """

    delay_ns: int = 0
    jitter_ns: int = 0
    loss_enter: float = 0.0
    loss_leave: float = 1.0
    rate_bps: int | None = None
    queue_bytes: int = 0
    held_packets: int = 10_000

    @classmethod
    def of(cls, direction: DirectionProfile) -> DirectionSettings:
        """A direction of a profile, with the limits the kernel's qdiscs would get."""
        rate_bps = direction.rate_bps
        return cls(
            delay_ns=round(direction.delay_s * 1e9),
            jitter_ns=round(direction.jitter_s * 1e9),
            loss_enter=direction.loss_enter,
            loss_leave=direction.loss_leave,
            rate_bps=None if rate_bps is None else round(rate_bps),
            queue_bytes=0 if rate_bps is None else tbf_limit_bytes(direction),
            held_packets=netem_limit_packets(direction),
        )

    def differences(self, held: Mapping[str, Any]) -> list[str]:
        """What a direction says it holds that is not as set here; empty when all is."""
        wanted = dataclasses.asdict(self)
        return [
            f"{name}: set {wanted.get(name)}, read back {held.get(name)}"
            for name in sorted(wanted.keys() | held.keys())
            if name not in held or name not in wanted or wanted[name] != held[name]
        ]
