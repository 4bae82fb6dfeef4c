"""The protocol by hand, for tests of what the server does with it."""

from __future__ import annotations

import zmq

from edge_server.protocol import Cancel, Done, Failed, Run, decode_reply, encode, new_task_id
from edge_server.security.keys import ClientKeys


class RawClient:
    """One connection that sends requests without waiting and reads answers by request id."""

    def __init__(self, context: zmq.Context, port: int, keys: ClientKeys | None = None) -> None:
        self._socket = context.socket(zmq.DEALER)
        if keys is not None:
            keys.apply(self._socket)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.connect(f"tcp://127.0.0.1:{port}")
        self._last_id = 0
        self.tasks: dict[int, bytes] = {}
        self.replies: dict[int, Done | Failed] = {}
        self.outputs: dict[int, bytes] = {}

    def send(
        self,
        kind: str,
        payload: bytes = b"",
        *,
        budget_s: float = 60.0,
        task: bytes | None = None,
        attempt: int = 1,
    ) -> int:
        """Ask for a task; the request's id."""
        self._last_id += 1
        task = self.tasks[self._last_id] = task or new_task_id()
        run = Run(self._last_id, kind, int(budget_s * 1000), task, attempt)
        self._socket.send_multipart([encode(run), payload])
        return self._last_id

    def cancel(self, request_id: int, *, task: bytes | None = None, attempt: int = 1) -> None:
        """Give up a request; None: by the task it was for."""
        cancel = Cancel(request_id, task or self.tasks[request_id], attempt)
        self._socket.send_multipart([encode(cancel), b""])

    def read(self, timeout_s: float = 10.0) -> int | None:
        """Take in one answer; its request's id, None when none came."""
        if not self._socket.poll(timeout_s * 1000):
            return None
        header, output = self._socket.recv_multipart()
        reply = decode_reply(header)
        assert isinstance(reply, Done | Failed)
        assert reply.id not in self.replies, "a request was answered twice"
        self.replies[reply.id] = reply
        self.outputs[reply.id] = output
        return reply.id

    def status(self, request_id: int, timeout_s: float = 10.0) -> str:
        """``ok`` or the error code of a request, waited for."""
        while request_id not in self.replies:
            assert self.read(timeout_s) is not None, f"no answer to request {request_id}"
        reply = self.replies[request_id]
        return "ok" if isinstance(reply, Done) else reply.code.value

    def close(self) -> None:
        self._socket.close()
