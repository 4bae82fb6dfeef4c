"""Rows of hostile bytes: mutated frames into the decoders, and mutated messages into a server."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import zmq

from edge_server.compression import AVAILABLE, compress, decompress
from edge_server.protocol import (
    Cancel,
    Done,
    ErrorCode,
    Failed,
    Ping,
    Pong,
    ProtocolError,
    Run,
    Stats,
    StatsQuery,
    Times,
    decode_reply,
    decode_request,
    encode,
)
from evidence.chaos.bystander import bystander, served, wait_until_served
from evidence.chaos.mutations import mutated
from evidence.chaos.parts import Server
from evidence.chaos.rows import Bound, RowRun, at_least, exactly, told
from evidence.chaos.zmtp import RawPeer, frame, greeting, ready

Decoder: TypeAlias = Callable[[bytes], object]
Frames: TypeAlias = list[bytes]

_TIMES = Times(1.5, 2.5, "clock", 0.5)
_TASK = bytes(range(16))
REQUESTS = (
    encode(Run(7, "squares", 0, _TASK, 2, 900, True)),
    encode(Cancel(7, _TASK, 3)),
    encode(Ping(2**40)),
    encode(StatsQuery(1)),
)
"""One valid header of each request. The task's budget is 0, so nothing of it is ever run."""
REPLIES = (
    encode(Done(7, _TIMES, 900)),
    encode(Failed(0, ErrorCode.BUSY, "full", _TIMES, 0.25)),
    encode(Pong(3, _TIMES, 2**24, 0.1, True)),
    encode(Stats(4, _TIMES, 9.0, 2, 1, 0, 99, {"ok": 98}, 0, 1)),
)
_PLAIN = b"a text that zstd makes smaller, smaller, smaller, smaller, smaller, smaller"
_PROGRESS = 10_000
_BATCH = 16
_ANSWER_MS = 10_000
_RAW_SHARE = 0.02


def mutated_frames(run: RowRun) -> list[Bound]:
    """Mutated headers into both decoders, mutated zstd frames into the decompressor."""
    decoders: list[tuple[Decoder, tuple[bytes, ...]]] = [
        (decode_request, REQUESTS + REPLIES),
        (decode_reply, REPLIES + REQUESTS),
    ]
    if AVAILABLE:
        decoders.append((lambda data: decompress(data, len(_PLAIN)), (compress(_PLAIN),)))
    outcomes: Counter[str] = Counter()
    done = 0
    while done < run.count:
        decoder, seeds = decoders[done // _PROGRESS % len(decoders)]
        n = min(_PROGRESS, run.count - done)
        outcomes += decode_all(decoder, mutated(seeds, n, run.rng(f"frames {done}")))
        done += n
        run.progress(done)
    typed = sum(count for what, count in outcomes.items() if what in {*ErrorCode, "valid"})
    untyped = {what: count for what, count in outcomes.items() if what not in {*ErrorCode, "valid"}}
    return [
        exactly("frames that were valid, or refused by a typed error", run.count, typed),
        exactly(f"other errors {dict(untyped) or ''}".strip(), 0, sum(untyped.values())),
        at_least("kinds of refusal among them", 4, len(outcomes) - ("valid" in outcomes)),
        told("still valid", str(outcomes["valid"])),
    ]


def decode_all(decoder: Decoder, frames: Iterable[bytes]) -> Counter[str]:
    """What became of frames: ``valid``, a protocol's error code, or the name of another error."""
    outcomes: Counter[str] = Counter()
    for data in frames:
        try:
            decoder(data)
        except ProtocolError as error:
            outcomes[error.code] += 1
        except Exception as error:  # whatever it is: that is the question
            outcomes[type(error).__name__] += 1
        else:
            outcomes["valid"] += 1
    return outcomes


def mutated_messages(run: RowRun) -> list[Bound]:
    """Mutated multiparts, frames in the wrong order or number, and forged identities.

    One part goes through libzmq, so each message arrives whole and has to be answered, but for
    cancels, which have no answer of their own; the other is bytes below ZMTP: broken greetings,
    commands, frame headers. Identities are forged by claiming one that a connection has already,
    which speaks on and has to be answered.
    """
    with Server(run.history, {"workers": 1}) as server, bystander(run, server):
        wait_until_served(run)
        began_s = time.monotonic()
        raw = max(1, int(run.count * _RAW_SHARE))
        whole = run.count - raw
        with zmq.Context() as context, _Attacker(context, server.port, run) as attacker:
            for first in range(0, whole, _BATCH):
                attacker.send_and_collect(min(_BATCH, whole - first))
                if first % (_BATCH * 64) == 0:
                    attacker.forge_identity()
                    run.progress(first)
            forged, victim_lost = attacker.forged, attacker.victim_lost
            wrong, unanswered = attacker.wrong, attacker.unanswered
        hung_up = _raw_rubbish(server.port, raw, run.rng("raw"))
        run.progress(run.count)
        wait_until_served(run)
        alive = not server.ended
    return [
        exactly("messages through libzmq without an answer", 0, unanswered),
        exactly("answers that are no reply of the protocol", 0, wrong),
        at_least("identities claimed a second time", 1, forged),
        exactly("requests of their first owner without an answer", 0, victim_lost),
        told("raw connections of rubbish", f"{raw}, {hung_up} closed by the server at once"),
        exactly("servers that went on", 1, int(alive)),
        *served(run, began_s),
    ]


class _Attacker:
    """A client of broken messages, and a victim whose identity is claimed by others."""

    def __init__(self, context: zmq.Context[Any], port: int, run: RowRun) -> None:
        self._rng = run.rng("messages")
        self._port = port
        self._socket = _dealer(context, port)
        self._victim = _dealer(context, port, b"victim")
        self._last_id = 0
        self.wrong = self.unanswered = self.forged = self.victim_lost = 0

    def __enter__(self) -> _Attacker:
        return self

    def __exit__(self, *raised: object) -> None:
        self._socket.close(linger=0)
        self._victim.close(linger=0)

    def send_and_collect(self, count: int) -> None:
        """Send so many broken messages, and read an answer to each that is owed one."""
        owed = 0
        for header in mutated(REQUESTS, count, self._rng):
            message = _broken(header, self._rng)
            self._socket.send_multipart(message)
            owed += not _is_cancel(message)
        for _ in range(owed):
            if not self._socket.poll(_ANSWER_MS):
                self.unanswered += 1
                return
            self.wrong += not _is_reply(self._socket.recv_multipart())

    def forge_identity(self) -> None:
        """Claim the victim's identity in another connection, speak there, then have it speak."""
        self._ask_victim()
        with RawPeer(self._port) as forger:
            forger.shake_hands(identity=b"victim")
            forger.send(frame(encode(Ping(1)), more=True) + frame(b""))
            self.forged += 1
            self._ask_victim()

    def _ask_victim(self) -> None:
        self._last_id += 1
        self._victim.send_multipart([encode(Ping(self._last_id)), b""])
        if not self._victim.poll(_ANSWER_MS):
            self.victim_lost += 1
            return
        reply = decode_reply(self._victim.recv_multipart()[0])
        self.victim_lost += reply.id != self._last_id


def _broken(header: bytes, rng: random.Random) -> Frames:
    """A message with a mutated header, its frames in the wrong order or number."""
    payload = rng.randbytes(rng.randrange(64))
    shape = rng.randrange(8)
    if shape < 4:
        return [header, payload]
    if shape == 4:
        return [payload, header]
    if shape == 5:
        return [header]
    if shape == 6:
        return [header, payload] + [b""] * rng.randrange(1, 20)
    return [b"", header, payload]


def _is_cancel(frames: Sequence[bytes]) -> bool:
    """It came through whole: a cancel of what is not open has no answer."""
    try:
        return len(frames) == 2 and isinstance(decode_request(frames[0]), Cancel)
    except ProtocolError:
        return False


def _is_reply(frames: Sequence[bytes]) -> bool:
    try:
        decode_reply(frames[0])
    except ProtocolError:
        return False
    return len(frames) == 2


def _raw_rubbish(port: int, count: int, rng: random.Random) -> int:
    """Connections that break ZMTP itself; how many of them the server closed within 10 ms."""
    hello = greeting() + ready()
    opening = (greeting(), hello, hello + frame(REQUESTS[0], more=True), greeting(b"PLAIN"))
    closed = 0
    for data in mutated(opening, count, rng):
        with RawPeer(port) as peer:
            peer.send(data)
            closed += peer.is_closed(0.01)
    return closed


def _dealer(context: zmq.Context[Any], port: int, identity: bytes = b"") -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    if identity:
        socket.setsockopt(zmq.IDENTITY, identity)
    socket.connect(f"tcp://127.0.0.1:{port}")
    return socket
