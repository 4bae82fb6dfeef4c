"""The User-Mode Linux guest itself: its kernel's modules, its init, how its registers are saved."""

from __future__ import annotations

import shlex
from pathlib import Path

from netem.layout import Layout
from netem.namespaces import run_tool
from offload.errors import BackendError

_MODULES = ("sch_tbf", "sch_netem")
_MODULE_DIRECTORY = Path("/usr/lib/uml/modules")


def init_script(layout: Layout) -> str:
    """The guest's init: loads the qdiscs, sets up routing, ends as tc reading lines."""
    lines = [
        "#!/bin/sh",
        "set -e",
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        f"{shlex.quote(str(layout.directory / 'mount'))} -t proc proc /proc",
        "stty -echo -onlcr < /dev/console",
        *(f"insmod {shlex.quote(str(path))}" for path in module_files()),
        "ip link set lo up",
    ]
    for index, wire in enumerate((layout.device, layout.edge)):
        device = f"vec{index}"
        lines += [
            f"ethtool -K {device} tx off rx off tso off gso off gro off",
            f"ip link set {device} up",
            f"ip address add {wire.router_address}/30 dev {device}",
            f"ip neigh replace {wire.endpoint.address} lladdr {wire.endpoint_mac}"
            f" nud permanent dev {device}",
        ]
    lines += [
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "echo 1 > /proc/sys/kernel/printk",  # the console belongs to tc from here on
        "echo ROUTER READY",
        "exec tc -s -j -force -batch -",
    ]
    return "\n".join(lines) + "\n"


def module_files() -> list[Path]:
    """The guest kernel's qdisc modules.

    Raises:
        BackendError: they are not there for the installed version.
    """
    directory = _MODULE_DIRECTORY / kernel_version() / "kernel" / "net" / "sched"
    files = [directory / f"{name}.ko" for name in _MODULES]
    missing = [str(path) for path in files if not path.exists()]
    if missing:
        raise BackendError(f"no guest kernel module at {', '.join(missing)}")
    return files


def kernel_version() -> str:
    """Of the installed User-Mode Linux."""
    return run_tool(["linux.uml", "--version"]).strip()


def save_modes() -> tuple[str, str, str]:
    """The ways to save the guest's registers, in the order they are tried; see uml_launch.

    The likelier one gets a second try: of some hundred guests one cannot fork its first program.
    """
    flags = next(
        (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line[:5] == "flags"), ""
    )
    likely, other = ("fxsave", "xsave") if "amx_tile" in flags.split() else ("xsave", "fxsave")
    return likely, likely, other
