"""What one link is called and where it lies: names, addresses, and the claim on them.

Every link claims a slot, a directory under /run that names its owner (pid and start time). From the
slot's number follow its namespaces' names, its subnets and its MAC addresses, so that links side by
side never collide, and the next link can clear away what a killed owner left.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from netem.namespaces import (
    Endpoint,
    call_in_namespace,
    delete_namespace,
    namespace_path,
    process_start,
    run_tool,
)
from offload.errors import BackendError

STATE_DIRECTORY = Path("/run/offload-netem")
SLOTS = 4096
_NETWORK = ipaddress.IPv4Network("198.18.0.0/15")  # set aside for benchmarks by RFC 2544
_OWNER_FILE = "owner.json"
TAP_QUEUE_PACKETS = 5000
"""Room for a burst at line rate before the router reads it."""


@dataclass(frozen=True, slots=True)
class Wire:
    """The wire between the router and one end.

    Attributes:
        endpoint: the end's namespace, address and interface.
        endpoint_mac: MAC address of the end's interface.
        router_address: the router's address on this wire, the end's gateway.
        router_mac: MAC address of the router's interface.
        other_subnet: the subnet of the other end's wire.
    """

    endpoint: Endpoint
    endpoint_mac: str
    router_address: str
    router_mac: str
    other_subnet: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Names and addresses of one link.

    Attributes:
        slot: number of the claim.
        directory: private directory of the claim, removed at release.
        device: the device's wire.
        edge: the edge's wire.
        router_namespace: name of the router's namespace.
    """

    slot: int
    directory: Path
    device: Wire
    edge: Wire
    router_namespace: str

    @property
    def namespaces(self) -> tuple[str, str, str]:
        """Names of the three namespaces, the router's first."""
        return (
            self.router_namespace,
            self.device.endpoint.namespace,
            self.edge.endpoint.namespace,
        )


def layout_of(slot: int) -> Layout:
    """The layout a slot's number stands for."""
    base = int(_NETWORK.network_address) + 8 * slot
    subnets = [ipaddress.IPv4Network((base + 4 * index, 30)) for index in range(2)]

    def wire(index: int, role: str) -> Wire:
        router, end = subnets[index].hosts()
        mac = f"02:6f:{slot >> 8:02x}:{slot & 0xFF:02x}:{index:02x}"
        return Wire(
            endpoint=Endpoint(str(end), f"offload{slot}-{role}", f"{role}0"),
            endpoint_mac=f"{mac}:02",
            router_address=str(router),
            router_mac=f"{mac}:01",
            other_subnet=str(subnets[1 - index]),
        )

    return Layout(
        slot=slot,
        directory=STATE_DIRECTORY / f"link-{slot}",
        device=wire(0, "device"),
        edge=wire(1, "edge"),
        router_namespace=f"offload{slot}-router",
    )


def claim() -> Layout:
    """Claim a free slot, after clearing away the links of dead owners.

    Raises:
        BackendError: no slot is free, or the state directory cannot be written.
    """
    with _locked():
        clear_dead_links()
        for slot in range(SLOTS):
            layout = layout_of(slot)
            taken = any(namespace_path(name).exists() for name in layout.namespaces)
            if taken or layout.directory.exists():
                continue
            pid = os.getpid()
            start = process_start(pid)
            layout.directory.mkdir(mode=0o700)
            owner = {"pid": pid, "start": None if start is None else start[1]}
            (layout.directory / _OWNER_FILE).write_text(json.dumps(owner))
            return layout
    raise BackendError(f"all {SLOTS} link slots under {STATE_DIRECTORY} are taken")


def release(layout: Layout) -> None:
    """Remove a link's namespaces, all that runs in them, and its directory. Idempotent.

    Raises:
        BackendError: a namespace could not be removed; the others were, and the directory is kept,
            so that the next link tries again.
    """
    failures = []
    for name in layout.namespaces:
        try:
            delete_namespace(name)
        except BackendError as error:
            failures.append(str(error))
    if failures:
        raise BackendError("; ".join(failures))
    shutil.rmtree(layout.directory, ignore_errors=True)


def clear_dead_links() -> list[int]:
    """Release every slot whose owner is dead; returns their numbers. The lock must be held."""
    cleared = []
    for directory in sorted(STATE_DIRECTORY.glob("link-*")):
        number = directory.name.removeprefix("link-")
        if number.isdigit() and living_owner(directory) is None:
            release(layout_of(int(number)))
            cleared.append(int(number))
    return cleared


def living_owner(directory: Path) -> int | None:
    """Pid of the process that claimed a slot, if it still runs; a pid alone may have been reused.

    None also where the file is not there or not whole: to who holds the lock, its owner died
    between making the directory and writing the file.
    """
    try:
        owner = json.loads((directory / _OWNER_FILE).read_text())
        pid, claimed_start = int(owner["pid"]), owner["start"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    start = process_start(pid)
    return pid if start is not None and start[1] == claimed_start else None


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    import fcntl  # only Linux has namespaces to claim, and not every other system has this

    try:
        STATE_DIRECTORY.mkdir(mode=0o755, exist_ok=True)
        descriptor = os.open(STATE_DIRECTORY / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackendError(f"cannot write {STATE_DIRECTORY}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def configure_end(wire: Wire, other: Wire) -> None:
    """Address, route and offloads of an end whose interface is in its namespace already."""
    end = wire.endpoint
    lines = [
        "link set lo up",
        f"link set {end.interface} address {wire.endpoint_mac} txqueuelen {TAP_QUEUE_PACKETS} up",
        f"address add {end.address}/30 dev {end.interface}",
        # Fixed neighbours: address resolution must not suffer the emulated loss.
        f"neigh replace {wire.router_address} lladdr {wire.router_mac} nud permanent"
        f" dev {end.interface}",
        f"route add {wire.other_subnet} via {wire.router_address}",
    ]
    call_in_namespace(end.path, _set_sysctls)
    run_tool(["ip", "-n", end.namespace, "-batch", "-"], stdin="\n".join(lines) + "\n")
    offloads_off(end.namespace, end.interface)


def offloads_off(namespace: str, interface: str) -> None:
    """Make every frame one packet of at most the MTU, so that loss and queues count right."""
    inside = ["nsenter", f"--net={namespace_path(namespace)}", "--"]
    features = ["tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off"]
    run_tool([*inside, "ethtool", "-K", interface, *features])


def _set_sysctls() -> None:
    """Per-namespace settings of an end; runs inside it."""
    # What TCP learnt of one run must not steer the next.
    Path("/proc/sys/net/ipv4/tcp_no_metrics_save").write_text("1")
    silence_ipv6()


def silence_ipv6() -> None:
    """No router solicitations and the like among the measured packets; runs in the namespace."""
    for scope in ("all", "default"):
        setting = Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6")
        if setting.exists():
            setting.write_text("1")
