"""Settings of a pool of connections."""

from __future__ import annotations

from dataclasses import dataclass

from edge_server.retry_budget import RETRY_SHARE
from offload.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Settings of an :class:`EdgePool`.

    Attributes:
        connections: requests that may be under way at once; no more than half of them large.
        heartbeat_s: between two pings of idle connections.
        heartbeat_timeout_s: a ping unanswered for this long, while nothing else is heard from the
            server or taken by the link, means that it is down. Slower links get four round trips.
        retry_share: retries for each request, 0 to 1.
        seed: of the jitter of retries; None: not repeatable.
    """

    connections: int = 4
    heartbeat_s: float = 0.5
    heartbeat_timeout_s: float = 1.0
    retry_share: float = RETRY_SHARE
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check every bound.

        Raises:
            ConfigError: a setting lies outside its bounds.
        """
        bounds: tuple[tuple[str, float, float, float], ...] = (
            ("connections", self.connections, 2, 64),
            ("heartbeat_s", self.heartbeat_s, 0.01, 60),
            ("heartbeat_timeout_s", self.heartbeat_timeout_s, 0.01, 60),
            ("retry_share", self.retry_share, 0, 1),
        )
        for name, value, low, high in bounds:
            if not low <= value <= high:
                raise ConfigError(f"{name} is {value}; it must lie from {low} to {high}")
