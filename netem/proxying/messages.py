"""What backend ``proxy`` and its process say to each other: JSON, one message a line."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class LaneSettings(msgspec.Struct, frozen=True):
    """What one direction is set to; the fields are those of ``offload.types.DirectionProfile``."""

    rate_bps: float | None
    delay_s: float
    jitter_s: float
    queue_s: float


class Settings(msgspec.Struct, frozen=True, tag=True):
    """As an order: hold these; as an answer: what is held."""

    uplink: LaneSettings
    downlink: LaneSettings


class Forward(msgspec.Struct, frozen=True, tag=True):
    """Open a port towards that port of the edge, or find the open one; answer: Forwarded."""

    port: int


class Forwarded(msgspec.Struct, frozen=True, tag=True):
    """The port to connect to."""

    port: int


class Count(msgspec.Struct, frozen=True, tag=True):
    """Answer: Counted."""


class LaneCount(msgspec.Struct, frozen=True):
    """Bytes of one direction, modelled headers included, and pieces of streams held now."""

    sent_bytes: int
    held_bytes: int
    held_pieces: int


class Counted(msgspec.Struct, frozen=True, tag=True):
    """Counters of both directions since the process started."""

    uplink: LaneCount
    downlink: LaneCount


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The order could not be carried out."""

    error: str


Order: TypeAlias = Settings | Forward | Count
Answer: TypeAlias = Settings | Forwarded | Counted | Failed
