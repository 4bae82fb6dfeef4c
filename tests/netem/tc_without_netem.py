"""Backend ``tc`` less its netem qdisc: run by the tests, as root and as an ordinary user.

Makes the backend's namespaces, wires and routes with the backend's own code, sets its TBF alone on
the uplink, and prints one JSON object of what it found. A kernel without sch_netem can do so much.
"""

from __future__ import annotations

import json
from pathlib import Path

from netem import qdisc, unprivileged
from netem.backends.tc import TcBackend
from netem.congestion_control import on_routes, set_on_routes
from netem.goodput import tcp_goodput
from netem.layout import claim, release
from offload.types import DirectionProfile

RATE_BPS = 8e6
UPLINK = DirectionProfile(RATE_BPS, 0.0, 0.0, 0.0, 1.0, 0.05)


def main() -> None:
    """Build, shape, measure, take down."""
    unprivileged.enter()
    layout = claim()
    backend = TcBackend(layout)
    try:
        backend.start()
        device, edge = layout.device.endpoint, layout.edge.endpoint
        set_on_routes((device, edge), "cubic")
        text = qdisc.tbf_text(UPLINK)
        (shown,) = backend._run_tc(
            [f"qdisc replace dev edge1 root handle 10: {text}", "qdisc show dev edge1"]
        )
        up = tcp_goodput(device, edge, seconds=2.0, start_up_s=0.5)
        down = tcp_goodput(edge, device, seconds=1.0, start_up_s=0.5)
        (after,) = backend._run_tc(["qdisc show dev edge1"])
        found = {
            "uid": unprivileged.outer_uid(),
            "tbf_rate_bytes_per_s": shown[0]["options"]["rate"],
            "tbf_sent_bytes": after[0]["bytes"],
            "routes": [on_routes(end) for end in (device, edge)],
            "metrics_saved": [
                end.call(Path("/proc/sys/net/ipv4/tcp_no_metrics_save").read_text).strip() == "0"
                for end in (device, edge)
            ],
            "up_bps": up.goodput_bps,
            "down_bps": down.goodput_bps,
            "algorithm": up.congestion_control,
        }
    finally:
        backend.close()
        release(layout)
    print(json.dumps({**found, "left": [name for name in layout.namespaces if _exists(name)]}))


def _exists(namespace: str) -> bool:
    return Path("/run/netns", namespace).exists()


if __name__ == "__main__":
    main()
