"""Emulated links for ordinary users: root in a user namespace of one's own, and over nothing else.

There, ``ip netns``, veth pairs, qdiscs and routes work as they do for root. See
:mod:`netem.unprivileged_launch` for how.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

_LAUNCHER = Path(__file__).with_name("unprivileged_launch.py")
_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21
_TRIAL_TIMEOUT_S = 20.0
_SUDO = "run it with sudo"
_SYSCTLS = (
    ("user.max_user_namespaces", "0", "15000"),
    ("user.max_net_namespaces", "0", "15000"),
    ("user.max_mnt_namespaces", "0", "15000"),
    ("user.max_pid_namespaces", "0", "15000"),
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
)
"""Settings that forbid it: name, the value that does, one that allows it."""


class Refusal(NamedTuple):
    """Why something cannot be, and the command that would fix it."""

    reason: str
    remedy: str


def privileged() -> bool:
    """Whether this process may make network namespaces and mounts: as root, or in a namespace."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
            return all(held >> bit & 1 for bit in (_CAP_NET_ADMIN, _CAP_SYS_ADMIN))
    return False


def outer_uid() -> int | None:
    """The user that is root in this process's user namespace; None: the machine's own."""
    if sys.platform != "linux":
        return None
    inside, outside, count = map(int, Path("/proc/self/uid_map").read_text().split()[:3])
    return outside if inside == 0 and count == 1 else None


def refusal() -> Refusal | None:
    """Why this user may make no user namespace, found out by making one; None: it may."""
    try:
        tried = subprocess.run(
            [*_launch(), "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TRIAL_TIMEOUT_S,
            check=False,
        )
    except PermissionError:  # setpriv lets a user into a program of root's that it cannot start
        return Refusal(
            f"uid {os.getuid()} may not run {sys.executable}",
            "take an interpreter that every user may run, such as /usr/bin/python3",
        )
    if tried.returncode == 0:
        return None
    return explain(tried.stderr.strip())


def explain(said: str) -> Refusal:
    """What forbids it, and the command that would allow it.

    Args:
        said: what was refused and how, as the launcher prints it.
    """
    setting = forbidding_setting()
    if setting is not None:
        return Refusal(f"{setting.reason} ({said})", setting.remedy)
    if "at /proc" in said:
        return Refusal(
            f"a user namespace is refused a /proc of its own ({said}), as in a container that"
            " hides parts of /proc",
            f"{_SUDO}, or start the container with --security-opt systempaths=unconfined",
        )
    return Refusal(f"user namespaces are refused ({said}), perhaps by a container's filter", _SUDO)


def forbidding_setting(sysctls: Path = Path("/proc/sys")) -> Refusal | None:
    """The kernel's setting that keeps ordinary users from making user namespaces; None: none.

    Args:
        sysctls: where the settings lie.
    """
    for name, forbids, allows in _SYSCTLS:
        setting = sysctls / name.replace(".", "/")
        if setting.exists() and setting.read_text().strip() == forbids:
            return Refusal(
                f"user namespaces are forbidden: {name} is {forbids}",
                f"sudo sysctl -w {name}={allows}",
            )
    return None


def enter() -> Refusal | None:
    """Start this program anew as root of a user namespace of its own, where that is needed.

    Call it before anything has been done or started: the process is replaced, its id stays, and it
    ends with the new one's exit code. Whatever it leaves running in there is killed then.

    Returns:
        None where the process is privileged (as root, or in there); else why it cannot be.
    """
    if sys.platform != "linux" or privileged():
        return None
    refused = refusal()
    if refused is not None:
        return refused
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [*_launch(), sys.executable, *sys.orig_argv[1:]])


def namespaces_refused() -> Refusal | None:
    """Why this process may not make network namespaces, and the way out; None: it may."""
    tried = subprocess.run(
        ["unshare", "--net", "--", "true"], capture_output=True, timeout=20, check=False
    )
    if tried.returncode == 0:
        return None
    reason = f"may not make network namespaces (uid {os.getuid()})"
    refused = refusal()
    if refused is not None:
        return Refusal(f"{reason}; {refused.reason}", f"{_SUDO}, or: {refused.remedy}")
    return Refusal(reason, f"{_SUDO}, or call netem.unprivileged.enter() first")


def _launch() -> list[str]:
    return [sys.executable, "-I", "-S", str(_LAUNCHER)]
