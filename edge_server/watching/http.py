"""A small HTTP server in a thread of its own, for pages that machines read: metrics and health."""

from __future__ import annotations

import ipaddress
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from socketserver import TCPServer
from typing import Any, NamedTuple, TypeAlias

from offload.errors import ConfigError

_log = logging.getLogger(__name__)
_MAX_READERS = 8
_READ_S = 5.0
"""A reader that sends or takes nothing for so long is cut off."""


class Page(NamedTuple):
    """An answer: HTTP status, content type, body."""

    status: HTTPStatus
    content_type: str
    body: bytes


PageMaker: TypeAlias = Callable[[str], Page]
"""Makes a page, given the request's ``Accept`` header."""


class PageServer:
    """Serves GET on a few fixed paths until :meth:`close`.

    It has no authentication: bind it to the loopback, or to a network of the operator's own. At
    most eight readers are heard at once; one more is hung up on.

    Args:
        bind: address to listen on.
        port: TCP port; 0 takes a free one.
        pages: what makes the page of each path.

    Raises:
        ConfigError: it cannot listen there.
    """

    def __init__(self, bind: str, port: int, pages: Mapping[str, PageMaker]) -> None:
        class Handler(_Handler):
            makers = pages

        try:
            family = AF_INET6 if ipaddress.ip_address(bind).version == 6 else AF_INET
            self._server = _Server(family, (bind, port), Handler)
        except (OSError, ValueError, OverflowError) as error:
            raise ConfigError(
                f"cannot serve metrics on {bind}:{port}: {error}; give an IP address of this "
                "machine with --metrics-bind and a free port with --metrics-port"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> PageServer:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening and end the thread."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(
        self, family: int, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]
    ) -> None:
        self.address_family = family
        self._readers = threading.BoundedSemaphore(_MAX_READERS)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Without the host name that :class:`http.server.HTTPServer` asks the resolver for."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._readers.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._readers.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that hung up is no event; anything else is a fault of ours."""
        if not isinstance(sys.exception(), OSError):
            _log.exception("a page could not be made")


class _Handler(BaseHTTPRequestHandler):
    makers: Mapping[str, PageMaker]
    timeout = _READ_S
    server_version = "offload"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with the page of the path."""
        maker = self.makers.get(self.path.partition("?")[0])
        if maker is None:
            known = ", ".join(self.makers)
            body = f"no such page; there are {known}\n".encode()
            page = Page(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", body)
        else:
            page = maker(self.headers.get("Accept", ""))
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape is no event."""
