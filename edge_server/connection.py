"""One DEALER socket to one server, with what the kernel knows of the TCP connection beneath.

libzmq has no option for TCP congestion control, and none that drops what the kernel still holds of
an abandoned upload. Its socket monitor, however, names the file descriptor of each connection, and
the kernel's own options can be set on a duplicate of that.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
import threading
from enum import Enum

import zmq
from zmq.utils.monitor import parse_monitor_message

from edge_server.security.keys import ClientKeys
from edge_server.sockets import bounded_socket, set_congestion_control

_FAILED_HANDSHAKES = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_SAYS_NO = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
_EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | _FAILED_HANDSHAKES
)
# Between two attempts ZeroMQ waits 100, 200 and then 400 ms, plus up to 100 ms at random. With a
# new SYN after 1.5 s, rather than the kernel's doubling waits, a link that heals sees one within
# about 1 s; a handshake that was cut short is not waited for much longer.
_CONNECT_TIMEOUT_MS = 1500
_HANDSHAKE_TIMEOUT_MS = 2500
# Of struct tcp_info (linux/tcp.h): its length up to and with bytes_acked, and where its fields are.
_TCP_INFO_BYTES, _RETRANSMITS, _BYTES_ACKED = 128, 2, 120
_RECONNECT_MS = 100
_RECONNECT_MAX_MS = 400


class LinkUp(Enum):
    """What is known of the connection."""

    TRYING = "trying"
    READY = "ready"
    REFUSED = "refused"
    """The last attempt failed, or the connection broke; ZeroMQ goes on trying."""
    NOT_LET_IN = "not let in"
    """The server said no to this client's key, or speaks without keys; ZeroMQ tries no more."""


class Connection:
    """A connection that starts at once and is made again by ZeroMQ while the object lives.

    Args:
        context: the ZeroMQ context; its threads decide the network namespace.
        endpoint: ``tcp://host:port``.
        congestion_control: TCP congestion control of the upload; None: the system's default.
        max_frame_bytes: largest frame taken from the server.
        keys: for a server that checks them; None: nothing is encrypted.

    Attributes:
        state: what the last :meth:`update` knew.
        losses: how often it broke. An answer that was under way then will not come.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        congestion_control: str | None,
        max_frame_bytes: int,
        keys: ClientKeys | None = None,
    ) -> None:
        self._congestion_control = congestion_control
        self._port = int(endpoint.rpartition(":")[2])
        self._kernel: socket.socket | None = None
        self._kernel_lock = threading.Lock()
        self.state = LinkUp.TRYING
        self.losses = 0
        self.socket = bounded_socket(context, zmq.DEALER, max_frame_bytes)
        try:
            self._monitor = self._start(context, endpoint, keys)
        except BaseException:
            self.socket.close(linger=0)
            raise

    def _start(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        keys: ClientKeys | None,
    ) -> zmq.Socket[bytes]:
        """Connect; the socket that tells of the connection."""
        self.socket.setsockopt(zmq.CONNECT_TIMEOUT, _CONNECT_TIMEOUT_MS)
        self.socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_TIMEOUT_MS)
        self.socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        self.socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        if keys is not None:
            keys.apply(self.socket)
        name = f"inproc://monitor-{id(self)}-{os.urandom(4).hex()}"
        self.socket.monitor(name, _EVENTS)
        monitor = context.socket(zmq.PAIR)
        monitor.setsockopt(zmq.RCVHWM, 0)  # a full monitor would stall the IO thread
        monitor.setsockopt(zmq.LINGER, 0)
        monitor.connect(name)
        self.socket.connect(endpoint)
        return monitor

    @property
    def closed(self) -> bool:
        """:meth:`close` was called."""
        return bool(self.socket.closed)

    def poll(self, timeout_s: float, descriptor: int | None = None) -> bool:
        """Wait for a message or a change of :attr:`state`; True when a message can be read.

        Args:
            timeout_s: so long at most.
            descriptor: the wait also ends when this can be read.
        """
        watched: list[tuple[zmq.Socket[bytes] | int, int]] = [
            (self.socket, zmq.POLLIN),
            (self._monitor, zmq.POLLIN),
        ]
        if descriptor is not None:
            watched.append((descriptor, zmq.POLLIN))
        ready = dict(zmq.zmq_poll(watched, max(0, int(timeout_s * 1000 + 0.999))))
        if self._monitor in ready:
            self.update()
        return self.socket in ready

    def update(self) -> None:
        """Take in what the monitor has reported, without waiting.

        Raises:
            ConfigError: the kernel refuses the congestion control.
        """
        while not self.closed and self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart())
            kind = event["event"]
            if kind == zmq.EVENT_CONNECTED:
                self.state = LinkUp.TRYING
                self._adopt(event["value"])
            elif kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.state = LinkUp.READY
            elif kind == zmq.EVENT_DISCONNECTED:
                if self.state is not LinkUp.NOT_LET_IN:
                    self.state = LinkUp.REFUSED
                self.losses += 1
                self._forget()
            else:  # closed before it was connected, or a failed handshake
                self.state = LinkUp.NOT_LET_IN if kind & _SAYS_NO else LinkUp.REFUSED
                self._forget()

    def unsent_bytes(self) -> int | None:
        """Bytes of the upload that the server's kernel has not acknowledged; None: unknown.

        Any thread may ask.
        """
        with self._kernel_lock:
            if self._kernel is None:
                return None
            answer = fcntl.ioctl(self._kernel, termios.TIOCOUTQ, struct.pack("i", 0))
        return int(struct.unpack("i", answer)[0])

    def acknowledged_bytes(self) -> int | None:
        """Bytes that the server's kernel has acknowledged so far; None: unknown. Any thread."""
        info = self._tcp_info()
        return None if info is None else int(struct.unpack_from("=Q", info, _BYTES_ACKED)[0])

    def is_stuck(self) -> bool:
        """What was sent had to be sent again more than once, and is not acknowledged yet."""
        info = self._tcp_info()
        return info is not None and info[_RETRANSMITS] >= 2

    def _tcp_info(self) -> bytes | None:
        with self._kernel_lock:
            if self._kernel is None:
                return None
            return self._kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)

    def congestion_control(self) -> str | None:
        """The congestion control in use, read back from the kernel; None: not connected."""
        if self._kernel is None:
            return None
        name = self._kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        return name.split(b"\0")[0].decode()

    def close(self, *, abort: bool = False) -> None:
        """Close it, once. ``abort``: drop at once whatever is queued, in ZeroMQ and the kernel."""
        if self.closed:
            return
        if abort and self._kernel is not None:
            # A reset instead of an orderly end: else the kernel would go on sending its buffer.
            self._kernel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._forget()
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=0)

    def _adopt(self, descriptor: int) -> None:
        """Keep a duplicate of the connection's descriptor, if it still is that connection."""
        self._forget()
        try:
            kernel = socket.socket(fileno=os.dup(descriptor))
        except OSError:
            return  # closed again already; the monitor reports that next
        try:
            is_ours = kernel.getpeername()[1] == self._port
        except OSError:
            is_ours = False
        if not is_ours:  # closed, and its number used anew
            kernel.close()
            return
        self._kernel = kernel
        if self._congestion_control is not None:
            set_congestion_control(kernel, self._congestion_control)

    def _forget(self) -> None:
        with self._kernel_lock:
            if self._kernel is not None:
                self._kernel.close()
                self._kernel = None
