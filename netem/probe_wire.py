"""The probes' messages: UDP, fixed layouts, every field checked. Pure: no socket in here.

A responder must be no use to an attacker who forges his address: it answers only who has shown it a
cookie it sent to that very address, and the one message answered without a cookie gets a reply no
longer than itself. All control messages are 64 bytes; only train packets are longer.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from enum import IntEnum

CONTROL_BYTES = 64
TRAIN_BYTES = 1400
HEADERS_BYTES = 42
"""Ethernet, IPv4 and UDP headers around each payload: what a link's queue counts too."""
MAX_TRAIN_PACKETS = 600
COOKIE_BYTES = 16
NO_COOKIE = bytes(COOKIE_BYTES)
_MAGIC = b"OLP1"
_LAYOUT = struct.Struct("!4sB3x8s16sIIIQd")
"""magic, kind, session, cookie, group, index, count, nanoseconds, rate (bit/s): 60 bytes."""


class Kind(IntEnum):
    """What a message is; odd ones go from the device to the edge, even ones back."""

    HELLO = 1
    COOKIE = 2
    PING = 3
    PONG = 4
    UPLINK_TRAIN = 5
    REPORT = 6
    REPORT_REQUEST = 7
    DOWNLINK_TRAIN = 8
    TRAIN_REQUEST = 9


@dataclass(frozen=True, slots=True)
class Message:
    """One probe message.

    Attributes:
        kind: what it is.
        session: eight random bytes of the prober.
        cookie: what the responder gave this session's address.
        group: number of the echo run or train it belongs to.
        index: its place in the group, from 0.
        count: PING, trains: packets in the group; PONG, REPORT: packets of it received so far.
        nanoseconds: PONG: time from its ping's arrival to its departure.
        rate_bps: REPORT: rate of the train at the receiver; 0 where it had too few packets.
    """

    kind: Kind
    session: bytes
    cookie: bytes = NO_COOKIE
    group: int = 0
    index: int = 0
    count: int = 0
    nanoseconds: int = 0
    rate_bps: float = 0.0


def encode(message: Message) -> bytes:
    """The message as it goes on the wire, padded to its kind's length."""
    body = _LAYOUT.pack(
        _MAGIC,
        message.kind,
        message.session,
        message.cookie,
        message.group,
        message.index,
        message.count,
        message.nanoseconds,
        message.rate_bps,
    )
    return body.ljust(_length(message.kind), b"\0")


def decode(data: bytes) -> Message | None:
    """The message in a datagram, or None where it is not one of ours, whole and in bounds."""
    if len(data) < CONTROL_BYTES or data[:4] != _MAGIC:
        return None
    _, kind, session, cookie, group, index, count, nanoseconds, rate = _LAYOUT.unpack_from(data)
    if kind not in Kind.__members__.values() or len(data) != _length(Kind(kind)):
        return None
    if not 0.0 <= rate < 1e13:  # also refuses NaN
        return None
    is_train = kind in {Kind.UPLINK_TRAIN, Kind.DOWNLINK_TRAIN, Kind.TRAIN_REQUEST}
    if is_train and not index < count <= MAX_TRAIN_PACKETS:
        return None
    return Message(Kind(kind), session, cookie, group, index, count, nanoseconds, rate)


def cookie_for(secret: bytes, address: tuple[str, int], session: bytes) -> bytes:
    """Proof that who shows it receives what is sent to ``address``."""
    text = f"{address[0]}|{address[1]}|".encode() + session
    return hmac.new(secret, text, hashlib.sha256).digest()[:COOKIE_BYTES]


def _length(kind: Kind) -> int:
    return TRAIN_BYTES if kind in {Kind.UPLINK_TRAIN, Kind.DOWNLINK_TRAIN} else CONTROL_BYTES
