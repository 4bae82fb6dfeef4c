"""Checks of what is set: profiles as read back, and the ends' own settings."""

from __future__ import annotations

import subprocess
from pathlib import Path

from netem.conformance.check import Check
from netem.link import Link
from netem.namespaces import Endpoint, call_in_namespace
from offload.errors import VerifyError
from offload.link_profiles import PROFILES

OFFLOADS = (
    "tx-checksumming",
    "tcp-segmentation-offload",
    "generic-segmentation-offload",
    "generic-receive-offload",
)


def check_read_back(link: Link) -> list[Check]:
    """Every named profile is set one after the other and reads back equal."""
    differences = []
    for profile in PROFILES.values():
        try:
            link.apply(profile)
        except VerifyError as error:
            differences.append(str(error))
    checks = [
        _count("settings read back different", "every profile in turn", differences, len(PROFILES))
    ]
    if not link.carries_packets:
        return checks
    ends = (link.device, link.edge)
    offloads = [f"{end.interface} {name}" for end in ends for name in offloads_on(end)]
    caches = [
        end.interface
        for end in ends
        if call_in_namespace(end.path, _reads_tcp_no_metrics_save) != "1"
    ]
    return [
        *checks,
        _count("offloads on", "ethtool -k at both ends", offloads, 2 * len(OFFLOADS)),
        _count("ends that cache TCP metrics", "tcp_no_metrics_save", caches, len(ends)),
    ]


def offloads_on(end: Endpoint) -> list[str]:
    """Offloads of an end that would make one frame of several packets."""
    inside = ["nsenter", f"--net={end.path}", "--", "ethtool", "-k", end.interface]
    shown = subprocess.run(inside, capture_output=True, text=True, check=True).stdout
    states = dict(line.strip().split(": ", 1) for line in shown.splitlines() if ": " in line)
    return [name for name in OFFLOADS if not states.get(name, "missing").startswith("off")]


def _reads_tcp_no_metrics_save() -> str:
    return Path("/proc/sys/net/ipv4/tcp_no_metrics_save").read_text().strip()


def _count(trait: str, setting: str, found: list[str], of: int) -> Check:
    return Check(trait, setting, "both", "", 0.0, float(len(found)), 0.0, 0.0, of, "; ".join(found))
