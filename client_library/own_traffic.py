"""What a program's own traffic tells of the link, where nobody probes it."""

from __future__ import annotations

import math

from netem.estimator import LinkTracker
from netem.estimator.passive import least_rate_bps
from netem.estimator.tracker import LEAST_TRANSFER_BYTES
from netem.probe_results import PingGap
from offload.types import LinkState

_BOUND_SD = 1.0  # of a logarithm: any measured rate outweighs it
_NOTHING_LOST = PingGap(0, 0, 0, 0)


class OwnTraffic:
    """A :class:`edge_server.client.LinkObserver`, the only source of an estimate. Any thread.

    A prober's pings are datagrams, beside which those of a connection count for little. Here there
    are none, so these count in full: their jitter holds the programs' own, and losses, which TCP
    makes good, do not show.

    Args:
        congestion_control: of the transfers.
    """

    def __init__(self, congestion_control: str = "cubic") -> None:
        self._tracker = LinkTracker(congestion_control)

    def saw_rtt(self, rtt_s: float) -> None:
        """See :class:`edge_server.client.LinkObserver`."""
        self._tracker.saw_ping(rtt_s, _NOTHING_LOST)

    def saw_transfer(self, n_bytes: int, seconds: float, *, uplink: bool) -> None:
        """See :class:`edge_server.client.LinkObserver`."""
        self._tracker.saw_transfer(n_bytes, seconds, uplink=uplink)
        link = self._tracker.state()
        rate_bps = link.uplink_bps if uplink else link.downlink_bps
        if math.isnan(rate_bps) and n_bytes >= LEAST_TRANSFER_BYTES and seconds > 0:
            # Too short to show the rate: it is at least this, and that is better than nothing.
            self._tracker.saw_rate(least_rate_bps(n_bytes, seconds), _BOUND_SD, uplink=uplink)

    def state(self) -> LinkState:
        """The newest estimate; NaN for what was never seen."""
        return self._tracker.state()
