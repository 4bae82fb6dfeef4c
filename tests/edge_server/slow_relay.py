"""A TCP relay that lets a bounded number of bytes a second through towards the server."""

from __future__ import annotations

import socket
import threading
import time

_CHUNK = 8192


class SlowRelay:
    """Listens on a free port; all connections share the one rate, as they would share a link."""

    def __init__(self, target_port: int, bytes_per_s: float) -> None:
        self._target = ("127.0.0.1", target_port)
        self._rate = bytes_per_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.forwarded_bytes = 0
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._listener.settimeout(0.05)
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> SlowRelay:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _run(self, target, *args: socket.socket) -> None:
        self._threads.append(threading.Thread(target=target, args=args))
        self._threads[-1].start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            self._run(self._serve, near)

    def _serve(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._target) as far:
            near.settimeout(0.05)
            far.settimeout(0.05)
            down = threading.Thread(target=self._pump, args=(far, near, False))
            down.start()
            self._pump(near, far, True)
            far.shutdown(socket.SHUT_RDWR)
            down.join(5)

    def _pump(self, source: socket.socket, sink: socket.socket, slow: bool) -> None:
        while not self._stop.is_set():
            try:
                data = source.recv(_CHUNK)
                if not data:
                    return
                if slow:
                    with self._lock:
                        time.sleep(len(data) / self._rate)
                        self.forwarded_bytes += len(data)
                sink.sendall(data)
            except TimeoutError:
                continue
            except OSError:
                return
