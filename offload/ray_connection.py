"""Joining a Ray cluster that somebody else has started."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
        with _loopback_kept(ray, host.strip("[]"), int(port)) as options:
            ray.init(address=address, log_to_driver=False, configure_logging=False, **options)
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


@contextmanager
def _loopback_kept(ray: Any, host: str, port: int) -> Iterator[dict[str, str]]:
    """Options to join by an address where something listens.

    Ray takes 127.0.0.1 for the machine's outer address, where a cluster that is bound to the
    loopback, as one without a guarded network should be, is never found. It has no option for that.

    Raises:
        OSError: nothing listens there; Ray itself would look for minutes.
    """
    services = ray._private.services
    outer = services.resolve_ip_for_localhost(host)
    try:
        socket.create_connection((outer, port), _CONNECT_S).close()
    except OSError:
        if outer == host:
            raise
        socket.create_connection((host, port), _CONNECT_S).close()
    else:
        yield {}
        return
    kept = services.resolve_ip_for_localhost
    services.resolve_ip_for_localhost = lambda name: name
    try:
        yield {"_node_ip_address": host}
    finally:
        services.resolve_ip_for_localhost = kept
