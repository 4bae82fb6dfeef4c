"""Emulated network links: a device and an edge namespace with a shaped router between them.

    from netem import open_link
    from offload.link_profiles import get_profile

    with open_link(get_profile("congested")) as link:
        server = link.edge.popen(["python", "-m", "edge_server", "--bind", link.edge.address])
        client = link.device.popen(["python", "client.py", link.edge.address])

The device reaches the edge at ``link.edge.address``; every packet crosses real kernel queues set to
the profile, each direction its own. See docs/network.md.
"""

from netem.link import Link, open_link
from netem.namespaces import Endpoint
from netem.qdisc import DirectionStats, LinkStats

__all__ = ["DirectionStats", "Endpoint", "Link", "LinkStats", "open_link"]
