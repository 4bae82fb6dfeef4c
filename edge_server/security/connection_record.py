"""What is known of one accepted TCP connection."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Connection:
    """One accepted TCP connection.

    Attributes:
        kernel: libzmq's own descriptor in a socket object; never closed from here.
        address: the peer's address and port, which no other live connection has.
        peer: the ROUTER's routing id; None: no message yet.
        user: the public key it proved to have; None: no message yet, or a server without keys.
        admitted: the user was let in when last looked at.
        heard: a whole message came since the last look; ``spoke``: one ever came.
        base_bytes: bytes received when it was last known to have ended a message.
        held_bytes: received since, as of the last look.
        sent_bytes: handed to libzmq for it; ``acked_bytes``: acknowledged, when last looked at.
        suspect: it was over its bound at the last look.
    """

    kernel: socket.socket | None = None
    address: tuple[object, ...] = ()
    peer: bytes | None = None
    user: bytes | None = None
    admitted: bool = True
    heard: bool = False
    spoke: bool = False
    base_bytes: int = 0
    held_bytes: int = 0
    sent_bytes: int = 0
    acked_bytes: int = 0
    suspect: bool = False

    @property
    def unread_bytes(self) -> int:
        """Of what was sent, not acknowledged when last looked at."""
        return self.sent_bytes - self.acked_bytes

    def take_acked(self, acked_bytes: int) -> None:
        """Note the kernel's count, in which the transport's own bytes are as well."""
        self.acked_bytes = acked_bytes
        self.sent_bytes = max(self.sent_bytes, acked_bytes)
