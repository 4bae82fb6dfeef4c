"""Owns a link until told to end: ``python -m netem.conformance.owner BACKEND close|exception``.

Says ``open`` on standard output, with a program running at the edge, and ends on a line of standard
input: by closing the link, or by an exception out of its ``with`` block.
"""

from __future__ import annotations

import sys

from netem.link import open_link
from offload.link_profiles import get_profile


class Ended(Exception):
    """Raised on purpose, to leave the link by an exception."""


def main(backend: str, ending: str) -> None:
    """Hold the link open."""
    with open_link(get_profile("wifi"), backend) as link:
        if link.carries_packets:
            link.edge.popen(["sleep", "60"])
        print("open", flush=True)
        sys.stdin.readline()
        if ending == "exception":
            raise Ended


if __name__ == "__main__":
    main(*sys.argv[1:])
