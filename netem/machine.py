"""What this machine allows that an emulated link is the better for, and the way to allow it."""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from netem import congestion_control, unprivileged
from netem.backends.base import closed_tun_device
from netem.emulator.ports import TUN_DEVICE

_CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_SLEEP_S = 0.001
_SLEEPS = 50


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing found out about this machine.

    Attributes:
        name: what it is about.
        found: what was found.
        remedy: the command that would make it better; empty where nothing is lacking.
    """

    name: str
    found: str
    remedy: str = ""


def facts() -> list[Fact]:
    """Find out; takes about 0.1 s and changes nothing."""
    found = [_processors(), _clock()]
    if sys.platform != "linux":
        return found
    return [_user(), _user_namespaces(), _tun(), _priority(), _congestion_control(), *found]


def _user() -> Fact:
    uid = unprivileged.outer_uid()
    if uid is not None:
        return Fact("user", f"uid {uid}; links get a user namespace of their own, no sudo needed")
    return Fact("user", "root" if os.geteuid() == 0 else f"uid {os.geteuid()}")


def _user_namespaces() -> Fact:
    if unprivileged.outer_uid() is not None:
        return Fact("user namespaces", "allowed: this runs in one")
    forbidden = unprivileged.forbidding_setting()
    if forbidden is None and not unprivileged.privileged():
        forbidden = unprivileged.refusal()
    if forbidden is not None:
        return Fact("user namespaces", f"for ordinary users: {forbidden.reason}", forbidden.remedy)
    return Fact("user namespaces", "no setting forbids them to ordinary users")


def _tun() -> Fact:
    refusal = closed_tun_device()
    if refusal is not None:
        return Fact("TUN device", refusal.reason, refusal.remedy)
    mode = os.stat(TUN_DEVICE).st_mode & 0o777
    if mode & 0o006 == 0o006:
        return Fact("TUN device", f"{TUN_DEVICE} can be opened")
    found = f"{TUN_DEVICE} can be opened, but is closed to ordinary users (mode {mode:04o})"
    return Fact("TUN device", found, f"sudo chmod 0666 {TUN_DEVICE}")


def _priority() -> Fact:
    refused: list[OSError] = []

    def attempt() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        except OSError as error:
            refused.append(error)

    thread = threading.Thread(target=attempt)  # the priority is this thread's, and ends with it
    thread.start()
    thread.join()
    if not refused:
        return Fact("real-time priority", "allowed: emulators go before other programs")
    uid = unprivileged.outer_uid() or os.geteuid()
    return Fact(
        "real-time priority",
        f"refused ({refused[0].strerror}): a busy CPU delays packets beyond what was set",
        f"echo ':{uid} - rtprio 1' | sudo tee -a /etc/security/limits.conf, and log in again",
    )


def _congestion_control() -> Fact:
    names, default = congestion_control.available(), congestion_control.default()
    found = ", ".join(f"{name} (the default)" if name == default else name for name in names)
    return Fact("congestion control", found, "" if "bbr" in names else "sudo modprobe tcp_bbr")


def _processors() -> Fact:
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    load = f", load of the last minute {os.getloadavg()[0]:.1f}" if os.name == "posix" else ""
    return Fact("CPUs", f"{usable}{load}")


def _clock() -> Fact:
    late_s = []
    for _ in range(_SLEEPS):
        begin = time.monotonic()
        time.sleep(_SLEEP_S)
        late_s.append(time.monotonic() - begin - _SLEEP_S)
    source = _CLOCK_SOURCE.read_text().strip() if _CLOCK_SOURCE.exists() else "of the system"
    return Fact(
        "clock",
        f"{source}; {_SLEEPS} sleeps of {_SLEEP_S * 1e3:g} ms end"
        f" {statistics.median(late_s) * 1e3:.2f} ms late (median), {max(late_s) * 1e3:.2f} at most",
    )
