"""The ZeroMQ options both ends share: bounded queues, bounded lingering, dead peers noticed.

Dead peers are found by TCP keepalive and TCP_USER_TIMEOUT, not by ZMTP heartbeats. A heartbeat
waits in the same TCP stream as the data, and only a whole message counts as a sign of life: on a
slow link a 5 MB upload that goes well would be cut off by its own heartbeat. The kernel counts
acknowledged segments instead.

Keys are :mod:`edge_server.security`'s, and set before the socket is bound or connected.
"""

from __future__ import annotations

import socket as sockets

import zmq

from edge_server.protocol import MAX_OPEN_REQUESTS
from offload.errors import ConfigError

ZERO_COPY_BYTES = 65_536
"""From this size a frame is sent and received without a copy."""
LINGER_MS = 1000
HIGH_WATER_MARK = 2 * MAX_OPEN_REQUESTS
"""Messages a peer may have waiting. Twice what it may have open: ZeroMQ counts what has left a
queue only in lots of half its length, and an answer to a client that reads must never be dropped.
"""
_PEER_TIMEOUT_MS = 30_000


def bounded_socket(
    context: zmq.Context[zmq.Socket[bytes]],
    socket_type: int,
    max_frame_bytes: int,
    *,
    high_water_mark: int = HIGH_WATER_MARK,
) -> zmq.Socket[bytes]:
    """A socket with every bound set; the caller binds or connects it."""
    socket = context.socket(socket_type)
    socket.setsockopt(zmq.SNDHWM, high_water_mark)
    socket.setsockopt(zmq.RCVHWM, high_water_mark)
    socket.setsockopt(zmq.MAXMSGSIZE, max_frame_bytes)
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 10)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 5)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 4)
    socket.setsockopt(zmq.TCP_MAXRT, _PEER_TIMEOUT_MS)
    return socket


def set_congestion_control(kernel: sockets.socket, name: str) -> None:
    """Set the TCP congestion control of a socket.

    Raises:
        ConfigError: the kernel has none of that name, or this user may not use it.
    """
    try:
        kernel.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_CONGESTION, name.encode())
    except OSError as error:
        raise ConfigError(
            f"TCP congestion control {name!r}: {error.strerror}; "
            "see /proc/sys/net/ipv4/tcp_available_congestion_control and, for users other than "
            "root, tcp_allowed_congestion_control beside it"
        ) from error
