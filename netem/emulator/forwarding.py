"""The emulator's loop: frames from one port through a direction to the other, on time."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from netem.emulator.direction import NEVER_NS, Direction
from netem.emulator.ports import Port
from netem.emulator.settings import DirectionSettings

MESSAGE_BYTES = 65536
_FRAMES_A_TURN = 64
"""Frames read before those that are due get their turn."""
_LONG_SLEEP_NS, _EARLY_NS = 1_000_000, 150_000
"""After a long sleep a processor is late by about the second figure, so the rest is spun away. Only
then: frames at short intervals would spin a whole core."""
_ETHERTYPE_IPV4 = b"\x08\x00"


@dataclass(frozen=True, slots=True)
class Passage:
    """One way through the router.

    Attributes:
        source: where its frames come in.
        target: where they go out.
        direction: what happens in between.
        router_mac: address of the router on the source's wire; frames for others are not routed.
        target_mac: address of the far end on the target's wire.
        gateway_mac: the router's own address there.
    """

    source: Port
    target: Port
    direction: Direction
    router_mac: bytes
    target_mac: bytes
    gateway_mac: bytes

    def take_in(self) -> None:
        """Read what waits at the source, up to a turn's worth."""
        header = self.target_mac + self.gateway_mac + _ETHERTYPE_IPV4
        read, arrive, clock_ns = self.source.read, self.direction.arrive, time.monotonic_ns
        for _ in range(_FRAMES_A_TURN):
            frame = read()
            if frame is None:
                return
            if frame[12:14] == _ETHERTYPE_IPV4 and frame.startswith(self.router_mac):
                arrive(header + frame[14:], clock_ns())

    def let_out(self) -> None:
        """Send what is due."""
        for frame in self.direction.release(time.monotonic_ns()):
            self.target.write(frame)

    def change(self, settings: DirectionSettings) -> None:
        """Set the direction anew."""
        for frame in self.direction.change(settings, time.monotonic_ns()):
            self.target.write(frame)


class Forwarder:
    """Serves two passages and one owner, until the owner closes its end or dies.

    Args:
        passages: by name: ``uplink`` and ``downlink``.
        control: a SOCK_SEQPACKET socket to the owner; one JSON document a message.
        owner: a pidfd of the owner.
    """

    def __init__(self, passages: Mapping[str, Passage], control: socket.socket, owner: int) -> None:
        self._passages = passages
        self._control = control
        self._owner = owner

    def run(self) -> None:
        """Forward.

        Raises:
            OSError: an interface is gone.
        """
        passages = list(self._passages.values())
        directions = [passage.direction for passage in passages]
        by_descriptor = {passage.source.fileno(): passage for passage in passages}
        control = self._control.fileno()
        waiting_for = [*by_descriptor, control, self._owner]
        spin_for_ns = NEVER_NS
        while True:
            now_ns = time.monotonic_ns()
            due_ns = min(direction.due_ns() for direction in directions)
            wait_ns = due_ns - now_ns
            if wait_ns > _LONG_SLEEP_NS:
                spin_for_ns = due_ns
            if due_ns == spin_for_ns:
                wait_ns -= _EARLY_NS
            timeout_s = None if due_ns == NEVER_NS else max(0, wait_ns) / 1e9
            for descriptor in select.select(waiting_for, (), (), timeout_s)[0]:
                if descriptor in by_descriptor:
                    by_descriptor[descriptor].take_in()
                elif descriptor == self._owner or not self._answer():
                    return
            for passage in passages:
                passage.let_out()

    def _answer(self) -> bool:
        """Do what the owner asks; False when it has closed its end."""
        asked = self._control.recv(MESSAGE_BYTES)
        if not asked:
            return False
        request = json.loads(asked)
        reply: dict[str, Any] = {}
        for name, passage in self._passages.items():
            if request["do"] == "apply":
                passage.change(DirectionSettings(**request[name]))
                reply[name] = asdict(passage.direction.settings)
            else:
                passage.let_out()  # what this turn has read is neither queued nor dropped before
                reply[name] = asdict(passage.direction.stats())
        self._control.send(json.dumps(reply).encode())
        return True
