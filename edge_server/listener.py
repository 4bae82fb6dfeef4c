"""The server's socket: made with its bounds, secured, bound."""

from __future__ import annotations

import errno
import os
import socket

import zmq

from edge_server.config import ServerConfig
from edge_server.security.gate import FRAME_SLACK_BYTES, Gate
from edge_server.sockets import bounded_socket, set_congestion_control
from offload.errors import ConfigError

_REASONS = {
    zmq.EADDRINUSE: "the port is taken; choose another with --port, or --port 0",
    zmq.EADDRNOTAVAIL: "the address is not one of this machine's",
    errno.ENODEV: "the address is not one of this machine's",
}


def listen(
    context: zmq.Context[zmq.Socket[bytes]], config: ServerConfig, gate: Gate
) -> zmq.Socket[bytes]:
    """A bound ROUTER socket that ``gate`` stands before; without success the gate is closed.

    Raises:
        ConfigError: the port is taken, the address is not this machine's, or the kernel refuses
            the congestion control.
    """
    # Whoever reads gets every answer: libzmq counts what has left a queue only in lots of half
    # the queue's length.
    high_water_mark = 2 * config.max_open
    router = bounded_socket(
        context,
        zmq.ROUTER,
        config.max_message_bytes + FRAME_SLACK_BYTES,
        high_water_mark=high_water_mark,
    )
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    host = f"[{config.bind}]" if ":" in config.bind else config.bind
    router.setsockopt(zmq.IPV6, int(":" in config.bind))
    gate.secure(router)
    try:
        router.bind(f"tcp://{host}:{config.port or '*'}")
        if config.congestion_control is not None:
            _set_congestion_control(gate, config.congestion_control)
    except zmq.ZMQError as error:
        reason = _REASONS.get(error.errno or 0, str(error))
        gate.close()
        raise ConfigError(f"cannot listen on {config.bind}:{config.port}: {reason}") from error
    except ConfigError:
        gate.close()
        raise
    return router


def _set_congestion_control(gate: Gate, name: str) -> None:
    """Set it on the listening socket, from which every accepted connection inherits it."""
    descriptor = gate.listening_descriptor()
    if descriptor is None:
        raise ConfigError(f"congestion control {name!r}: the listening socket is not known")
    with socket.socket(fileno=os.dup(descriptor)) as listening:
        set_congestion_control(listening, name)
