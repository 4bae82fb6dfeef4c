"""A Ray cluster of several nodes on this machine, on the loopback, for tests and first tries.

python scripts/local_ray_cluster.py --nodes 2

Prints ``address HOST:PORT`` and, for each node, ``node PID`` (its raylet), then waits until its
standard input ends or a SIGTERM comes, and takes the cluster down. Killing a raylet and its
children is what the loss of a machine looks like.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
"""At any other address, 127.0.0.2 too, Ray would listen on every interface."""


@dataclass(frozen=True)
class Options:
    """What to start."""

    nodes: int = 2
    """Nodes that run tasks, beside the head, which runs none."""
    cpus: int = 1
    """CPUs that each of them says it has."""
    path: tuple[Path, ...] = ()
    """Further folders that tasks are imported from."""
    dead_after_s: float = 5.0
    """A node that is silent for so long counts as dead; with Ray's own settings it is 15 s."""


def main(options: Options) -> int:
    """Run the cluster; the exit status."""
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, *options.path)))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it would report to Ray's makers
    # Read by the raylets' own libraries when ray is imported, so only now.
    try:
        from ray.cluster_utils import Cluster
    except ImportError:
        print("local_ray_cluster: pip install -r requirements-ray.txt", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    period_ms = max(1, int(options.dead_after_s * 1000 / 5))
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "node_ip_address": HOST,
            "object_store_memory": 100 * 2**20,
            "_system_config": {
                "health_check_initial_delay_ms": period_ms,
                "health_check_period_ms": period_ms,
                "health_check_timeout_ms": 5 * period_ms,
                "health_check_failure_threshold": 5,
            },
        },
    )
    try:
        print(f"address {cluster.address}", flush=True)
        nodes = [
            cluster.add_node(
                wait=False,
                num_cpus=options.cpus,
                node_ip_address=HOST,
                object_store_memory=100 * 2**20,
            )
            for _ in range(options.nodes)
        ]
        cluster.wait_for_nodes()
        for node in nodes:
            (raylet,) = node.all_processes["raylet"]
            print(f"node {raylet.process.pid}", flush=True)
        print("ready", flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
