"""Emulated network links: a device and an edge namespace with a shaped router between them.

    from netem import open_link
    from offload.link_profiles import get_profile

    with open_link(get_profile("congested")) as link:
        server = link.edge.popen(["python", "server.py", link.edge.address])
        address, port = link.reach(5555)
        client = link.device.popen(["python", "client.py", address, str(port)])

Servers bind to ``link.edge.address``, and the device connects to what ``link.reach`` says. All that
goes there crosses queues set to the profile, each direction its own; what a backend leaves out
stands in ``link.limits``. See docs/network.md.
"""

from netem.link import Link, open_link
from netem.link_stats import DirectionStats, LinkStats
from netem.namespaces import Endpoint

__all__ = ["DirectionStats", "Endpoint", "Link", "LinkStats", "open_link"]
