"""TCP congestion control of whatever runs at the two ends of a link, ours or not.

A socket's own choice (``TCP_CONGESTION``) comes first; a route's (``congctl``) serves every socket
that makes none, at the end that connects and at the end that accepts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from netem.namespaces import Endpoint, run_tool
from offload.errors import UnknownNameError, VerifyError

_SYSCTLS = Path("/proc/sys/net/ipv4")


def available() -> tuple[str, ...]:
    """The algorithms this kernel has loaded, as it names them; none where it is not Linux."""
    names = _SYSCTLS / "tcp_available_congestion_control"
    return tuple(names.read_text().split()) if names.exists() else ()


def default() -> str:
    """What a socket gets where neither it nor its route says; a namespace starts with it too."""
    return (_SYSCTLS / "tcp_congestion_control").read_text().strip()


def check_available(algorithm: str) -> None:
    """Raises UnknownNameError where the kernel has no such algorithm."""
    if algorithm not in available():
        raise UnknownNameError("congestion control", algorithm, available())


def set_on_routes(ends: Iterable[Endpoint], algorithm: str) -> None:
    """Have TCP between the ends of a link use ``algorithm``, each direction its sender's.

    Args:
        ends: the ends of one link, in network namespaces.
        algorithm: one of :func:`available`.

    Raises:
        UnknownNameError: the kernel has no such algorithm; nothing was changed.
        VerifyError: a route read back without it.
        BackendError: the link is closed.
    """
    check_available(algorithm)
    for end in ends:
        for route in _routed(end):
            where = [route["dst"], "via", route["gateway"], "dev", route["dev"]]
            run_tool(["ip", "-n", end.namespace, "route", "replace", *where, "congctl", algorithm])
        found = on_routes(end)
        if found != algorithm:
            raise VerifyError(
                f"congestion control of {end.namespace}: set {algorithm}, read back {found}"
            )


def on_routes(end: Endpoint) -> str | None:
    """What the route to the other end says; None: nothing, so the kernel's default holds."""
    for route in _routed(end):
        for metric in route.get("metrics", ()):
            if "congestion" in metric:
                return str(metric["congestion"])
    return None


def _routed(end: Endpoint) -> list[dict[str, Any]]:
    """The routes of an end that go through the router."""
    shown = json.loads(run_tool(["ip", "-n", end.namespace, "-j", "route", "show"]) or "[]")
    return [route for route in shown if "gateway" in route]
