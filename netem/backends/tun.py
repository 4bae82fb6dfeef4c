"""Backend ``tun``: a packet emulator of ours, in a process of its own, between two TAP devices.

It needs no qdisc of any kernel, takes a seed, and runs as an ordinary user inside a user namespace.
There /dev/net/tun may be closed to it; it then reads and writes veth pairs over packet sockets.
"""

from __future__ import annotations

import dataclasses
import secrets
from typing import ClassVar

from netem.backends.base import (
    Capability,
    PacketBackend,
    closed_tun_device,
    missing_rights,
    missing_tools,
    try_in_scratch,
)
from netem.backends.tc import TOOLS, router_interface
from netem.backends.tun_process import (
    START_TIMEOUT_S,
    EmulatorProcess,
    emulator_command,
    emulator_environment,
)
from netem.emulator.ports import PortKind
from netem.emulator.settings import DirectionSettings
from netem.layout import Layout, configure_end, offloads_off, silence_ipv6
from netem.link_stats import DirectionStats, LinkStats
from netem.namespaces import add_namespace, call_in_namespace, namespace_path, run_tool
from netem.qdisc import check_direction
from offload.errors import BackendError, VerifyError
from offload.types import LinkProfile

_VETH = 'ip link add name "$1" type veth peer name scratch1 && shift && exec "$@"'


class TunBackend(PacketBackend):
    """One process forwards, loses, delays and queues frames between the two ends."""

    name: ClassVar[str] = "tun"
    summary: ClassVar[str] = "an emulator of ours between TAP devices or veth pairs; takes a seed"
    max_rate_bps: ClassVar[float] = 200e6

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._seed = secrets.randbits(64)
        self._process: EmulatorProcess | None = None

    @classmethod
    def probe(cls) -> Capability:
        """Open a port of the kind it would use, in a namespace that ends with the probe."""
        refusal = missing_tools({**TOOLS, "unshare": "util-linux"}) or missing_rights()
        if refusal is not None:
            return refusal
        closed = closed_tun_device()
        kind: PortKind = "tap" if closed is None else "packet"
        attempt = emulator_command("try", kind, "scratch0")
        if kind == "packet":
            attempt = ["sh", "-c", _VETH, "sh", "scratch0", *attempt]
        tried = try_in_scratch(attempt, emulator_environment())
        if isinstance(tried, Capability):
            return tried
        if tried.returncode != 0:
            said = (tried.stderr.strip() or "nothing").splitlines()[-1]
            return Capability(False, f"cannot open a {kind} port: {said}", "modprobe tun")
        what = "a TAP device was opened in a scratch namespace"
        if closed is not None:
            what = f"packet sockets on veth pairs: {closed.reason} ({closed.remedy} opens it)"
        return Capability(True, f"{what}; {tried.stdout.strip()}")

    def use_seed(self, seed: int) -> None:
        """Draw losses and delays from that seed."""
        self._seed = seed

    def start(self) -> None:
        """Make the namespaces, start the emulator, hand each end its interface."""
        layout = self._layout
        wires = {"device": layout.device, "edge": layout.edge}
        for name in layout.namespaces:
            add_namespace(name)
        router = layout.router_namespace
        kind: PortKind = "tap" if closed_tun_device() is None else "packet"
        if kind == "packet":
            self._lay_veths()
        self._process = EmulatorProcess(namespace_path(router), layout.directory / "emulator.log")
        request: dict[str, object] = {"kind": kind, "seed": self._seed}
        for role, wire in wires.items():
            interface = wire.endpoint.interface if kind == "tap" else router_interface(wire)
            request[role] = {
                "interface": interface,
                "router_mac": wire.router_mac,
                "end_mac": wire.endpoint_mac,
            }
        self._process.ask(request, START_TIMEOUT_S)
        if kind == "tap":
            moves = [
                f"link set {wire.endpoint.interface} netns {wire.endpoint.namespace}\n"
                for wire in wires.values()
            ]
            run_tool(["ip", "-n", router, "-batch", "-"], stdin="".join(moves))
        configure_end(layout.device, layout.edge)
        configure_end(layout.edge, layout.device)

    def _lay_veths(self) -> None:
        """A pair for each wire; the router's kernel leaves frames alone that are not to its MAC."""
        router = self._layout.router_namespace
        call_in_namespace(namespace_path(router), silence_ipv6)
        for wire in (self._layout.device, self._layout.edge):
            end, inner = wire.endpoint, router_interface(wire)
            lines = [
                f"link add name {inner} type veth peer name {end.interface} netns {end.namespace}",
                f"link set {inner} up",
            ]
            run_tool(["ip", "-n", router, "-batch", "-"], stdin="\n".join(lines) + "\n")
            offloads_off(router, inner)

    def apply(self, profile: LinkProfile) -> None:
        """Set a profile, read it back, compare."""
        settings = {}
        self._refuse_too_fast(profile)
        for name, direction in (("uplink", profile.uplink), ("downlink", profile.downlink)):
            check_direction(direction)
            settings[name] = DirectionSettings.of(direction)
        request = {name: dataclasses.asdict(setting) for name, setting in settings.items()}
        held = self._ask({"do": "apply", **request})
        wrong = [
            f"{name} {difference}"
            for name, setting in settings.items()
            for difference in setting.differences(held[name])
        ]
        if wrong:
            raise VerifyError(f"profile {profile.name!r} is not what was set: " + "; ".join(wrong))

    def stats(self) -> LinkStats:
        """Counters of both directions, since the link was opened."""
        counted = self._ask({"do": "stats"})
        return LinkStats(DirectionStats(**counted["uplink"]), DirectionStats(**counted["downlink"]))

    def close(self) -> None:
        """End the emulator. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _ask(self, request: dict[str, object]) -> dict[str, dict[str, int]]:
        if self._process is None:
            raise BackendError("the emulator is not running")
        return self._process.ask(request)
