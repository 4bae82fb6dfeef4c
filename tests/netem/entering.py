"""What a child process does in a test; a module of its own, since the child imports it anew."""

from __future__ import annotations

import socket
from multiprocessing.queues import Queue

from netem import Endpoint


def enter_and_connect(endpoint: Endpoint, address: tuple[str, int], answers: Queue[str]) -> None:
    """Go into the endpoint's namespace, connect, and say from which address."""
    endpoint.enter()
    with socket.create_connection(address, timeout=5) as connection:
        answers.put(connection.getsockname()[0])
