"""Answers libzmq's question "may this key come in?" (ZAP, RFC 27), in a thread of its own.

``zmq.auth.thread`` would do, but its ``stop`` waits for ever once its thread has died, and that a
server still ends cleanly then is a case that is tested here.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import zmq
from zmq.utils import z85

from edge_server.security.keys import ZAP_DOMAIN

_ENDPOINT = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_CURVE_KEY_BYTES = 32
HANDSHAKES_PER_S = 20.0
"""Each key may shake hands so often in the long run, and ten times as often in one second. libzmq
numbers its peers with 32 bits and aborts when a peer has claimed the next number for its own; a
client may guess, so it may not guess often."""
_BURST = 200.0
_log = logging.getLogger(__name__)


class Authenticator:
    """Lets CURVE clients of the project's domain in whose key ``is_allowed`` knows; nobody else.

    Args:
        context: the server's context; the thread answers for all its sockets.
        is_allowed: asked with a public key in Z85, in the authenticator's thread.

    Attributes:
        counts: handshakes refused, ``not_authorised`` and ``too_often``.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], is_allowed: Callable[[bytes], bool]
    ) -> None:
        self._is_allowed = is_allowed
        self.counts: Counter[str] = Counter(not_authorised=0, too_often=0)
        self._allowances: dict[bytes, tuple[float, float]] = {}
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(_ENDPOINT)
        self._thread = threading.Thread(target=self._run, name="authenticator", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """It answers; once it does not, libzmq refuses every handshake."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End the thread; from then on nobody is let in. May be called twice."""
        if self._stop_write >= 0:
            os.write(self._stop_write, b"x")
            self._thread.join()
            os.close(self._stop_write)
            os.close(self._stop_read)
            self._stop_write = -1

    def _run(self) -> None:
        watched: list[tuple[Any, int]] = [(self._socket, zmq.POLLIN), (self._stop_read, zmq.POLLIN)]
        with self._socket:
            while True:
                ready = dict(zmq.zmq_poll(watched))
                if self._stop_read in ready:
                    return
                self._socket.send_multipart(self._answer(self._socket.recv_multipart()))

    def _answer(self, frames: list[bytes]) -> list[bytes]:
        """One reply: version, request id, status, text, user id, metadata."""
        request_id = frames[1] if len(frames) > 1 else b""
        public = _key_of(frames)
        if public is not None and self._is_allowed(public):
            if not self._in_time(public):
                self.counts["too_often"] += 1
                return [_VERSION, request_id, b"300", b"too many handshakes", b"", b""]
            return [_VERSION, request_id, b"200", b"OK", public, b""]
        self.counts["not_authorised"] += 1
        who = (public or b"no key").decode()
        address = frames[3].decode(errors="replace") if len(frames) > 3 else "?"
        _log.info("a client at %s is not let in: %s", address, who)
        return [_VERSION, request_id, b"400", b"not authorised", b"", b""]

    def _in_time(self, public: bytes) -> bool:
        """Take one handshake of a key's allowance, which fills up steadily (a token bucket)."""
        now_s = time.monotonic()
        left, at_s = self._allowances.get(public, (_BURST, now_s))
        left = min(_BURST, left + HANDSHAKES_PER_S * (now_s - at_s))
        in_time = left >= 1.0
        self._allowances[public] = (left - in_time, now_s)
        return in_time


def _key_of(frames: list[bytes]) -> bytes | None:
    """The public key (Z85) of a CURVE request for the domain; None: anything else."""
    if len(frames) != 7:
        return None
    version, _, domain, _, _, mechanism, key = frames
    if (version, domain, mechanism) != (_VERSION, ZAP_DOMAIN, b"CURVE"):
        return None
    return z85.encode(key) if len(key) == _CURVE_KEY_BYTES else None
