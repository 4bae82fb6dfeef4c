"""The edge server: one loop over a ROUTER socket and an executor."""

from __future__ import annotations

import select
import time

import zmq

from edge_server import task_registry
from edge_server.config import ServerConfig
from edge_server.crew import Crew
from edge_server.dispatcher import Dispatcher
from edge_server.executors import make_executor
from edge_server.executors.base import Executor
from edge_server.listener import listen
from edge_server.mailbox import Mailbox
from edge_server.requests import Requests
from edge_server.security.gate import Gate
from edge_server.sockets import LINGER_MS
from edge_server.stop_signal import StopSignal
from edge_server.watching.http import PageServer
from edge_server.watching.state import ServerState
from offload.errors import ConfigError, OffloadError
from offload.task_function import RunTask

_MESSAGES_A_TURN = 32
_LAST_LOOK_S = 1.0
"""So long at most a server that has drained refuses what still comes."""
_POLLIN = int(zmq.POLLIN)


class EdgeServer:
    """Runs allow-listed tasks for clients; see docs/protocol.md and docs/edge-server.md.

    The socket is bound when the object is made, so :attr:`port` is known and a taken port is
    reported before any process starts. :meth:`start`, :meth:`serve` and :meth:`close` belong to
    one thread; :meth:`stop` may be called from any thread. For signals there is
    :meth:`stop_on_signals`.

    Args:
        config: the settings.
        run_task: what a worker calls, ``(kind, payload) -> bytes``: a top-level function of an
            importable module. The default runs the project's own tasks.
        executor: where tasks run; None: as the settings say.

    Raises:
        ConfigError: the port is taken, the address is not this machine's, ``run_task`` cannot be
            imported, or the keys are missing or badly guarded.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        run_task: RunTask = task_registry.run_task,
        executor: Executor | None = None,
    ) -> None:
        self._config = config
        self._executor = executor or make_executor(config, run_task)
        self._dispatcher = Dispatcher(
            config.queue,
            config.max_task_s,
            config.overrun_grace_s,
            queue_bytes=config.queue_bytes,
            max_open=config.max_open,
            answer_bytes=config.answer_cache_bytes,
            ahead=self._executor.ahead,
        )
        self._stops = 0
        self._stop = StopSignal()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._gate = Gate(self._context, config)
            self._router = listen(self._context, config, self._gate)
        except OffloadError:
            self._context.destroy(linger=0)
            self._executor.close()
            self._stop.close()
            raise
        self._endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self._mailbox = Mailbox(self._router, self._gate, config.max_message_bytes)
        self._crew = Crew(self._executor, self._dispatcher, self._mailbox.answer)
        self._requests = Requests(
            self._dispatcher, self._gate, self._mailbox, config.max_message_bytes, self.state
        )
        self._epoll = select.epoll()
        self._news = int(self._router.getsockopt(zmq.FD))
        self._executor_news = self._executor.fileno()
        for source in (self._news, self._stop.fileno(), self._executor_news):
            self._epoll.register(source, select.EPOLLIN)
        self._pages = self._serve_pages()

    def __enter__(self) -> EdgeServer:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self.endpoint.rpartition(":")[2])

    @property
    def endpoint(self) -> str:
        """``tcp://address:port`` as bound."""
        return self._endpoint

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers, for measurements."""
        return self._executor.pids()

    @property
    def metrics_port(self) -> int | None:
        """The port of the pages for metrics and health; None: it has none."""
        return None if self._pages is None else self._pages.port

    def state(self) -> ServerState:
        """How it stands; any thread may ask."""
        return ServerState(
            waiting=self._dispatcher.queued,
            running=self._dispatcher.busy,
            workers=self._executor.capacity,
            ready=self._dispatcher.ready,
            draining=self._dispatcher.draining,
            received=self._mailbox.received,
            restarts=self._crew.replaced,
            undeliverable=self._mailbox.undeliverable,
            gate=self._gate.counts.copy(),
            connections=self._gate.connections,
            locked=self._gate.locked,
            quarantined=self._dispatcher.quarantined,
        )

    def start(self) -> None:
        """Start the workers and wait until each is ready.

        Raises:
            BackendError: a worker ended before it was ready, or took too long.
        """
        self._crew.start()
        self._requests.ready_s = time.monotonic()

    def serve(self) -> None:
        """Serve until :meth:`stop` is called and the running tasks have ended (or ``grace_s``)."""
        while not self._dispatcher.drained:
            # Asking takes in what the socket was told, after which its descriptor is silent until
            # there is news: nothing may be sent or received between the question and the wait.
            has_message = int(self._router.getsockopt(zmq.EVENTS)) & _POLLIN
            ready = [source for source, _ in self._epoll.poll(0 if has_message else self._wait_s())]
            if has_message or self._news in ready:
                self._receive()
            self._tick()
            if self._executor_news in ready or self._crew.is_due:
                self._crew.hear()
            if self._stop.fileno() in ready:
                self._on_stop()
            self._executor.flush()
        until_s = time.monotonic() + _LAST_LOOK_S
        while self._receive() and time.monotonic() < until_s:
            pass  # what came in meanwhile is answered shutting_down

    def stop(self) -> None:
        """Ask :meth:`serve` to drain and return. The second call ends the grace period."""
        self._stop.send()

    def stop_on_signals(self) -> None:
        """Have SIGTERM and SIGINT stop this server; to be called in the main thread."""
        self._stop.on_signals()

    def close(self) -> None:
        """Kill the workers, close the sockets. Replies already written get a bounded time."""
        if self._context.closed:
            return
        if self._pages is not None:
            self._pages.close()
        self._epoll.close()
        self._executor.close()
        self._gate.close()
        self._router.close(linger=LINGER_MS)
        self._context.term()
        self._stop.close()

    def _serve_pages(self) -> PageServer | None:
        port = self._config.metrics_port
        if port is None:
            return None
        from edge_server.watching.server_page import serve_pages  # without pages, no library

        try:
            return serve_pages(self._config.metrics_bind, port, self._mailbox.tally, self.state)
        except ConfigError:
            self._pages = None
            self.close()
            raise

    def _wait_s(self) -> float:
        """How long the loop may wait for news, rounded up to what the kernel's timer can do."""
        due_s = min(self._gate.next_look_s, self._dispatcher.next_tick_s())
        wake_s = self._executor.wake_at_s()
        if wake_s is not None:
            due_s = min(due_s, wake_s)
        return max(0.0, due_s - time.monotonic())

    def _tick(self) -> None:
        self._gate.look_if_due()
        now_s = time.monotonic()
        if now_s >= self._dispatcher.next_tick_s():
            self._crew.act(self._dispatcher.tick(now_s))

    def _on_stop(self) -> None:
        asked = self._stop.take()
        if not asked:
            return
        self._stops += asked
        grace_s = self._config.grace_s if self._stops == 1 else 0.0
        self._executor.stop_replacing()
        self._crew.act(self._dispatcher.drain(time.monotonic(), grace_s))

    def _receive(self) -> bool:
        """Take in some messages at most, so that workers are heard too; False: there was none."""
        for number in range(_MESSAGES_A_TURN):
            message = self._mailbox.receive()
            if message is None:
                return number > 0
            self._crew.act(self._requests.take(message))
            if number == 0:
                self._executor.flush()  # a lone task need not wait for what the loop does next
                if not int(self._router.getsockopt(zmq.EVENTS)) & _POLLIN:
                    return True
        return True
