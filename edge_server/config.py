"""The server's settings."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_server.protocol import MAX_OPEN_REQUESTS
from offload.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Settings of an edge server.

    Attributes:
        bind: address to listen on. Anything but the loopback needs keys.
        port: TCP port; 0 takes a free one and prints it.
        workers: worker processes, one task at a time each.
        queue: tasks that may wait; one more is answered BUSY.
        queue_bytes: inputs that may wait, together.
        max_open: tasks of one client that may wait or run.
        max_message_bytes: largest payload taken, and largest answer sent.
        max_task_s: a task may run this long, or until its client's budget ends.
        max_task_memory_bytes: private writable memory a worker may have, its loaded models
            included; beyond it the task is answered out_of_memory and its worker ended.
        answer_cache_bytes: outputs kept for requests that come a second time.
        overrun_grace_s: a task past that is answered at once, and killed this much later.
        grace_s: on SIGTERM, time for running tasks to end.
        congestion_control: TCP congestion control of the answers, e.g. cubic; None: the system's.
        log_level: what is logged to stderr, from this level on; None: info in JSON, where each
            task is a line, and warning in text.
        log_format: text for people, or one JSON object a line.
        metrics_port: serve /metrics (Prometheus) and /healthz on this TCP port; 0 takes a free one.
        metrics_bind: IP address of these pages. They know no keys: the loopback, or a network of
            the operator's own.
        executor: where tasks run: worker processes of this machine, or actors of a Ray cluster.
        ray_address: HOST:PORT of that cluster's head.
        keys: folder that keygen made: the server's key and the clients it lets in.
        insecure_let_anybody_in: listen beyond the loopback without keys, for a network of its own
            (a test's namespace) that nobody else is on.
        max_connections: open TCP connections; beyond it those that never spoke go first.
        max_heap_bytes: C heap beyond which the connections that hold most of it are closed.
    """

    bind: str = "127.0.0.1"
    port: int = 5555
    workers: int = 2
    queue: int = 16
    queue_bytes: int = 64 * 2**20
    max_open: int = MAX_OPEN_REQUESTS
    max_message_bytes: int = 16 * 2**20
    max_task_s: float = 60.0
    max_task_memory_bytes: int = 2 * 2**30
    answer_cache_bytes: int = 32 * 2**20
    overrun_grace_s: float = 2.0
    grace_s: float = 5.0
    congestion_control: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] | None = None
    log_format: Literal["text", "json"] = "text"
    metrics_port: int | None = None
    metrics_bind: str = "127.0.0.1"
    executor: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    keys: Path | None = None
    insecure_let_anybody_in: bool = False
    max_connections: int = 4096
    max_heap_bytes: int = 512 * 2**20

    def __post_init__(self) -> None:
        """Check every bound.

        Raises:
            ConfigError: a setting lies outside its bounds.
        """
        bounds: tuple[tuple[str, float, float, float], ...] = (
            ("port", self.port, 0, 65535),
            ("workers", self.workers, 1, 256),
            ("queue", self.queue, 0, 10_000),
            ("queue_bytes", self.queue_bytes, 1, 2**40),
            ("max_open", self.max_open, 1, 10_000),
            ("max_message_bytes", self.max_message_bytes, 1, 2**30),
            ("max_task_s", self.max_task_s, 0.001, 3600),
            ("max_task_memory_bytes", self.max_task_memory_bytes, 2**26, 2**40),
            ("answer_cache_bytes", self.answer_cache_bytes, 0, 2**40),
            ("overrun_grace_s", self.overrun_grace_s, 0, 3600),
            ("grace_s", self.grace_s, 0, 3600),
            ("max_connections", self.max_connections, 1, 100_000),
            ("max_heap_bytes", self.max_heap_bytes, 2**24, 2**40),
            ("metrics_port", self.metrics_port or 0, 0, 65535),
        )
        for name, value, low, high in bounds:
            if not low <= value <= high:
                raise ConfigError(f"{name} is {value}; it must lie from {low} to {high}")
        if not self.bind:
            raise ConfigError("bind is empty; give an address, for example 127.0.0.1")
        if (self.executor == "ray") != (self.ray_address is not None):
            raise ConfigError("executor ray and ray_address HOST:PORT go together; give both")
        if self.keys is not None and self.insecure_let_anybody_in:
            raise ConfigError("keys and insecure_let_anybody_in exclude each other; give one")
        if self.is_exposed and self.keys is None and not self.insecure_let_anybody_in:
            raise ConfigError(
                f"bind is {self.bind}, where others can reach it, and there are no keys: "
                "python -m edge_server keygen DIR makes them, --keys DIR uses them"
            )

    @property
    def is_exposed(self) -> bool:
        """Others than this machine's own programs may reach the address."""
        try:
            return not ipaddress.ip_address(self.bind).is_loopback
        except ValueError:
            return self.bind != "lo"  # ZeroMQ takes an interface's name as well
