"""What a client may be given to watch its link, and to compress what it sends."""

from __future__ import annotations

from typing import Protocol


class LinkObserver(Protocol):
    """Told what the client's own traffic shows of the link. It is called in the client's thread."""

    def saw_rtt(self, rtt_s: float) -> None:
        """A ping of an idle connection was answered; the server's own time is taken off."""
        ...

    def saw_transfer(self, n_bytes: int, seconds: float, *, uplink: bool) -> None:
        """A message arrived: its bytes, and the seconds since it was handed over for sending."""
        ...


class Compressor(Protocol):
    """Decides what is worth compressing on this link, and does it."""

    def pack(self, kind: str, payload: bytes) -> tuple[bytes, int]:
        """What to send, and the bytes it decompresses to; 0: it is the payload as it is."""
        ...

    def wants_answers(self, kind: str) -> bool:
        """Answers of this kind had better come compressed."""
        ...

    def saw_answer(self, kind: str, output: bytes) -> None:
        """An answer of this kind, decompressed."""
        ...
