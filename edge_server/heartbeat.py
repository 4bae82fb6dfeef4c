"""Whether the server answers: pings of idle connections, in a thread of their own."""

from __future__ import annotations

import math
import threading
import time

from edge_server.client import EdgeClient
from edge_server.lanes import Lanes
from edge_server.pool_config import PoolConfig
from offload.errors import RemoteError

_DOWN_BEAT_S = 0.1
_PROBE_BYTES = 32_768
_PROBE_EVERY_S = 30.0  # 9 kbit/s
_PROBE_TIMEOUT_S = 5.0


class Heartbeat:
    """Pings the connection that was idle for longest, and draws the conclusion.

    Args:
        lanes: the connections. All of them are made anew when the server is found down.
        config: how often, and how long an answer may take.
        watched: somebody wants to know what the uplink carries, so it is probed now and then.
    """

    def __init__(self, lanes: Lanes, config: PoolConfig, *, watched: bool) -> None:
        self._lanes = lanes
        self._config = config
        self._watched = watched
        self._heard_s = time.monotonic()
        self._rtt_s = 0.0
        self._probed_s = -math.inf
        self._down: tuple[float, str] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_watch, name="heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()

    @property
    def is_down(self) -> bool:
        """The server does not answer."""
        return self._down is not None

    @property
    def why_down(self) -> str:
        """What was seen when it did not answer any more; empty while it does."""
        down = self._down
        return "" if down is None else f"{down[1]}, {time.monotonic() - down[0]:.1f} s ago"

    def heard(self) -> None:
        """Something came from the server just now."""
        self._heard_s = time.monotonic()

    def _keep_watch(self) -> None:
        pause_s = 0.0
        while not self._closing.wait(pause_s):
            with self._lanes.longest_idle() as client:
                if client is not None:
                    self._beat(client)
            pause_s = self._config.heartbeat_s if self._down is None else _DOWN_BEAT_S

    def _beat(self, client: EdgeClient) -> None:
        """Ping once, and draw the conclusion."""
        began_s = time.monotonic()
        before = self._lanes.acknowledged()
        try:
            self._rtt_s = client.ping(max(self._config.heartbeat_timeout_s, 4.0 * self._rtt_s))
        except RemoteError as error:
            now = self._lanes.acknowledged()
            moved = any(now.get(which, 0) > count for which, count in before.items())
            if self._heard_s < began_s and not moved:
                self._went_down(error)
            return
        self.heard()
        self._down = None
        if self._watched and self._heard_s - self._probed_s > _PROBE_EVERY_S:
            self._probe(client)

    def _probe(self, client: EdgeClient) -> None:
        """Have the observer know the uplink though no task has used it for a while."""
        self._probed_s = time.monotonic()
        try:
            client.probe_uplink(_PROBE_BYTES, _PROBE_TIMEOUT_S)
        except RemoteError:
            return  # the next ping tells whether that was the link's end or its slowness

    def _went_down(self, error: RemoteError) -> None:
        if self._down is not None:
            return
        self._down = (time.monotonic(), str(error))
        # What the kernel sends again, it does at doubling intervals: a link that healed would not
        # be noticed for as long as it was away.
        self._lanes.renew()
