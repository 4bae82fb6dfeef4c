"""The emulator's process: ``serve CONTROL OWNER``, or ``try KIND INTERFACE`` to see if it can run.

    CONTROL    descriptor of a SOCK_SEQPACKET socket to the owner
    OWNER      the owner's pid; the process ends with that one
    KIND       ``tap`` or ``packet``, see :mod:`netem.emulator.ports`
    INTERFACE  its interface

It works in the network namespace it is started in. The first message over CONTROL says what to
open; the rest are :class:`netem.emulator.forwarding.Forwarder`'s. SIGTERM ends it on the spot:
nothing of it outlives its descriptors.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from netem.emulator.direction import Direction
from netem.emulator.forwarding import MESSAGE_BYTES, Forwarder, Passage
from netem.emulator.ports import Port
from netem.emulator.settings import DirectionSettings

_PR_SET_TIMERSLACK = 29


def main(argv: Sequence[str]) -> int:
    """Serve or try; an error ends it with a traceback that the owner shows."""
    match list(argv):
        case ["serve", control, owner]:
            serve(int(control), int(owner))
        case ["try", "tap" | "packet" as kind, interface]:
            Port(kind, interface).close()
            print("real-time priority" if hurry() else "no real-time priority")
        case _:
            raise ValueError(f"usage: serve CONTROL OWNER | try tap|packet IFACE, not {argv!r}")
    return 0


def serve(control_descriptor: int, owner_pid: int) -> None:
    """Forward until the owner ends or says so."""
    owner = os.pidfd_open(owner_pid)
    if os.getppid() != owner_pid:
        return  # it died before the pid was safely held
    hurry()
    with socket.socket(fileno=control_descriptor) as control:
        request = json.loads(control.recv(MESSAGE_BYTES))
        try:
            passages = open_passages(request)
        except OSError as error:
            control.send(json.dumps({"error": str(error)}).encode())
            return
        control.send(b"{}")
        # Nothing here refers to itself in circles, and a collection would cost milliseconds.
        gc.freeze()
        gc.disable()
        Forwarder(passages, control, owner).run()


def open_passages(request: Mapping[str, Any]) -> dict[str, Passage]:
    """Open both ports and join them.

    Args:
        request: ``kind``, ``seed``, and for ``device`` and ``edge`` the port's ``interface``, the
            router's ``router_mac`` and the end's ``end_mac``.

    Raises:
        OSError: a port cannot be opened.
    """
    ends = {role: request[role] for role in ("device", "edge")}
    ports = {role: Port(request["kind"], end["interface"]) for role, end in ends.items()}
    macs = {
        role: {key: bytes.fromhex(end[key].replace(":", "")) for key in ("router_mac", "end_mac")}
        for role, end in ends.items()
    }
    return {
        name: Passage(
            source=ports[source],
            target=ports[target],
            direction=Direction(DirectionSettings(), f"{request['seed']} {name}"),
            router_mac=macs[source]["router_mac"],
            target_mac=macs[target]["end_mac"],
            gateway_mac=macs[target]["router_mac"],
        )
        for name, source, target in (("uplink", "device", "edge"), ("downlink", "edge", "device"))
    }


def hurry() -> bool:
    """Wake on the microsecond and, where allowed, before ordinary processes; says if it is."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
