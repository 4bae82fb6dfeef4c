"""Joining a Ray cluster that somebody else has started."""

from __future__ import annotations

import signal
import socket
import threading
from typing import Any

from offload.errors import BackendError, ConfigError

HOW_TO_GET = "pip install -r requirements-ray.txt"
_CONNECT_S = 5.0


def connect_ray(address: str, cpus: int) -> Any:
    """The module ``ray``, connected; its ``shutdown()`` leaves the cluster.

    The process's signal handlers stay as they are; Ray would put its own in their place.

    Args:
        address: ``HOST:PORT`` of the cluster's head.
        cpus: how many the cluster must have.

    Raises:
        ConfigError: the address is none, or ray is not installed.
        BackendError: nothing answers there, or it has fewer CPUs, or this process is in a cluster.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"the Ray address is {address!r}; give HOST:PORT of the cluster's head")
    try:
        import ray
    except ImportError:
        raise ConfigError(f"the package ray is missing; {HOW_TO_GET}") from None
    if ray.is_initialized():
        raise BackendError("this process is connected to a Ray cluster already; close that first")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        # Ray itself would wait a minute for an address where nothing listens.
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        raise BackendError(
            f"no Ray cluster that this program can join answers at {address}: {error}; start one "
            "with `ray start --head`, with the same versions of Ray and Python"
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)
    there = int(ray.cluster_resources().get("CPU", 0))
    if there < cpus:
        ray.shutdown()
        raise BackendError(
            f"the Ray cluster at {address} has {there} CPUs and {cpus} are asked for; ask for "
            "fewer, or add nodes"
        )
    return ray
