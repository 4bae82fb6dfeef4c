"""Backend ``tc``: the host kernel's own netem and TBF in a router namespace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, ClassVar

from netem.backends.base import (
    Capability,
    PacketBackend,
    missing_rights,
    missing_tools,
    refuse_seed,
    try_in_scratch,
)
from netem.layout import Layout, Wire, configure_end, offloads_off, silence_ipv6
from netem.link_stats import LinkStats
from netem.namespaces import add_namespace, call_in_namespace, namespace_path, run_tool
from netem.shaper import Shaper, parse_replies
from offload.errors import BackendError
from offload.types import LinkProfile

TOOLS = {"ip": "iproute2", "tc": "iproute2", "ethtool": "ethtool", "nsenter": "util-linux"}

_SCRATCH = """
ip link add name scratch0 type veth peer name scratch1 &&
tc qdisc add dev scratch0 root handle 1: netem delay 1ms loss gemodel 1% 20% &&
tc qdisc add dev scratch0 parent 1:1 handle 10: tbf rate 1mbit burst 3200 limit 6400
"""


class TcBackend(PacketBackend):
    """Three namespaces and two veth pairs; the qdiscs are the host kernel's."""

    name: ClassVar[str] = "tc"
    summary: ClassVar[str] = "the host kernel's netem and TBF in a router namespace"

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._shaper = Shaper(self._run_tc, uplink_device="edge1", downlink_device="device1")

    @classmethod
    def probe(cls) -> Capability:
        """Build the qdiscs once in a namespace without a name, which ends with the probe."""
        refusal = missing_tools({**TOOLS, "unshare": "util-linux"}) or missing_rights()
        if refusal is not None:
            return refusal
        tried = try_in_scratch(["sh", "-c", _SCRATCH])
        if isinstance(tried, Capability):
            return tried
        if tried.returncode == 0:
            return Capability(True, "netem and tbf were set on a veth in a scratch namespace")
        said = tried.stderr.strip().replace("\n", " | ")
        release = os.uname().release
        if Path(f"/lib/modules/{release}").is_dir():
            remedy = f"modprobe sch_netem || apt-get install linux-modules-extra-{release}"
            modules = ""
        else:
            remedy = "boot a kernel that has sch_netem; --backend uml and tun do without"
            modules = ", and no modules lie here to load"  # the kernel is a host's or a cloud's
        reason = f"kernel {release} has no usable netem (tc: {said}){modules}"
        return Capability(False, reason, remedy)

    def use_seed(self, seed: int) -> None:
        """Refused: kernel netem draws its own numbers."""
        refuse_seed(self.name)

    def start(self) -> None:
        """Make the namespaces, the veth pairs and the router's routes."""
        layout = self._layout
        for name in layout.namespaces:
            add_namespace(name)
        for wire in (layout.device, layout.edge):
            self._lay(wire)
        call_in_namespace(namespace_path(layout.router_namespace), _forward)
        configure_end(layout.device, layout.edge)
        configure_end(layout.edge, layout.device)

    def _lay(self, wire: Wire) -> None:
        end, router = wire.endpoint, self._layout.router_namespace
        inner = router_interface(wire)
        lines = [
            f"link add name {inner} address {wire.router_mac} type veth"
            f" peer name {end.interface} netns {end.namespace}",
            f"link set {inner} up",
            f"address add {wire.router_address}/30 dev {inner}",
            f"neigh replace {end.address} lladdr {wire.endpoint_mac} nud permanent dev {inner}",
        ]
        run_tool(["ip", "-n", router, "-batch", "-"], stdin="\n".join(lines) + "\n")
        offloads_off(router, inner)

    def apply(self, profile: LinkProfile) -> None:
        """Set a profile, read it back, compare."""
        self._shaper.apply(profile)

    def stats(self) -> LinkStats:
        """Counters of both directions."""
        return self._shaper.stats()

    def close(self) -> None:
        """Nothing of its own runs: the namespaces go with the layout."""

    def _run_tc(self, lines: list[str]) -> list[Any]:
        path = namespace_path(self._layout.router_namespace)
        try:
            done = subprocess.run(
                ["nsenter", f"--net={path}", "--", "tc", "-s", "-j", "-force", "-batch", "-"],
                input="\n".join(lines) + "\n",
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=10,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BackendError("tc did not end within 10 s") from error
        return parse_replies(done.stdout, sum(line.startswith("qdisc show") for line in lines))


def router_interface(wire: Wire) -> str:
    """Name of the router's interface on a wire."""
    return wire.endpoint.interface.replace("0", "1")


def _forward() -> None:
    """Settings of the router; runs inside its namespace."""
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    silence_ipv6()
