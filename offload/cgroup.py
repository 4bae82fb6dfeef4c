"""One cgroup with a CPU quota, version 1 or 2: found, made, read back, removed."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from offload.errors import BackendError, VerifyError

_LOG = logging.getLogger(__name__)
_PREFIX = "offload-cpu"
_PROC = Path("/proc")

CgroupMethod = Literal["cgroup-v1", "cgroup-v2"]


@dataclass(frozen=True, slots=True)
class CpuParent:
    """A directory below which groups with a CPU quota can be made."""

    method: CgroupMethod
    path: Path


def find_cpu_parent(
    method: str | None = None,
    mounts: Path = _PROC / "self/mounts",
    membership: Path = _PROC / "self/cgroup",
) -> CpuParent:
    """Where this process may make a group with a CPU quota.

    Version 1 wherever the ``cpu`` controller is mounted there (it can be in one version only);
    else the nearest ancestor of this process's version 2 group that hands ``cpu`` to its children
    or can be made to.

    Args:
        method: take only this version.
        mounts: the table of mounts.
        membership: which groups this process is in.

    Raises:
        BackendError: neither is there, or none may be written.
    """
    own = _own_groups(membership)
    tried: list[str] = []
    for kind, options, mount in _mounts(mounts):
        if kind == "cgroup" and "cpu" in options and method in (None, "cgroup-v1"):
            path = mount / own.get("cpu", "/").lstrip("/")
            # In a container the mount may begin below the group that /proc names.
            path = path if path.is_dir() else mount
            if os.access(path, os.W_OK):
                return CpuParent("cgroup-v1", path)
            tried.append(f"{path} is not writable")
        elif kind == "cgroup2" and method in (None, "cgroup-v2"):
            found = _version_2_parent(mount, mount / own.get("", "/").lstrip("/"))
            if found is not None:
                return CpuParent("cgroup-v2", found)
            tried.append(f"{mount} offers no cpu controller to a group of ours")
    reason = "; ".join(tried) or "no cgroup file system with the cpu controller is mounted"
    raise BackendError(f"{reason}. Run as root, or with a delegated cgroup")


def _own_groups(membership: Path) -> dict[str, str]:
    """Controller -> path of this process's group; the version 2 group under the empty name."""
    groups: dict[str, str] = {}
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _mounts(mounts: Path) -> list[tuple[str, set[str], Path]]:
    """The cgroup mounts as (file system, options, directory)."""
    found = []
    for line in mounts.read_text().splitlines():
        _, directory, kind, options = line.split()[:4]
        if kind in ("cgroup", "cgroup2"):
            found.append((kind, set(options.split(",")), Path(directory)))
    return found


def _version_2_parent(mount: Path, own: Path) -> Path | None:
    """The nearest group at or above ``own`` whose children can have a CPU quota."""
    start = own if own.is_dir() else mount
    for path in (start, *start.parents):
        if not path.is_relative_to(mount):
            return None
        control = path / "cgroup.subtree_control"
        if not control.exists() or not os.access(path, os.W_OK):
            continue
        if "cpu" not in control.read_text().split():
            # Refused where the group itself holds processes; then an ancestor may do.
            with contextlib.suppress(OSError):
                control.write_text("+cpu")
        if "cpu" in control.read_text().split():
            return path
    return None


class CpuGroup:
    """A group of our own; its name tells whose it is, so that a dead owner's can be cleared away.

    Attributes:
        method: the version of its interface.
        path: its directory.
    """

    def __init__(self, parent: CpuParent) -> None:
        self.method: CgroupMethod = parent.method
        self._parent = parent.path
        owner = f"{_pid_namespace()}-{os.getpid()}-{_start_ticks(os.getpid())}"
        self.path = parent.path / f"{_PREFIX}-{owner}-{secrets.token_hex(4)}"
        self.path.mkdir()

    def set_quota(self, period_s: float, quota_s: float | None) -> None:
        """Allow ``quota_s`` of CPU in each ``period_s``; None: no limit.

        Raises:
            VerifyError: the kernel kept other values than those written.
        """
        period_us = round(period_s * 1e6)
        quota_us = None if quota_s is None else round(quota_s * 1e6)
        if self.method == "cgroup-v1":
            self._write("cpu.cfs_period_us", str(period_us))
            self._write("cpu.cfs_quota_us", str(-1 if quota_us is None else quota_us))
        else:
            self._write("cpu.max", f"{'max' if quota_us is None else quota_us} {period_us}")

    def add(self, pid: int) -> None:
        """Move a process with all its threads into the group.

        Raises:
            BackendError: it could not be moved.
            VerifyError: it is not there afterwards.
        """
        procs = self.path / "cgroup.procs"
        try:
            procs.write_text(str(pid))
        except OSError as error:
            raise BackendError(f"process {pid} cannot be put under {self.path}: {error}") from error
        if str(pid) not in procs.read_text().split():
            raise VerifyError(f"process {pid} was put under {self.path} and is not there")

    def remove(self) -> None:
        """Move what still runs in it to the parent group and remove it."""
        _remove(self.path, self._parent)

    def _write(self, name: str, value: str) -> None:
        file = self.path / name
        file.write_text(value)
        kept = file.read_text().strip()
        if kept != value:
            raise VerifyError(f"{file} was set to {value!r} and reads {kept!r}")


def remove_stale(parent: CpuParent) -> list[Path]:
    """Remove groups whose owner has died without removing them; returns which."""
    removed = []
    for path in parent.path.glob(f"{_PREFIX}-*"):
        namespace, pid, ticks = path.name.removeprefix(f"{_PREFIX}-").split("-")[:3]
        # An owner in another PID namespace cannot be seen from here: it may well be alive.
        if namespace != _pid_namespace() or _start_ticks(int(pid)) == ticks:
            continue
        try:
            path.rmdir()
        except OSError as error:
            _LOG.warning("the CPU group %s of a dead process cannot be removed: %s", path, error)
            continue
        removed.append(path)
    return removed


def _remove(path: Path, parent: Path) -> None:
    """``rmdir`` with patience: a process that was just killed still counts for a moment."""
    for _ in range(50):
        for pid in (path / "cgroup.procs").read_text().split():
            # It may end between the two lines.
            with contextlib.suppress(OSError):
                (parent / "cgroup.procs").write_text(pid)
        try:
            path.rmdir()
            return
        except OSError as error:
            last = error
        time.sleep(0.01)
    raise BackendError(f"the CPU group {path} cannot be removed: {last}") from last


def _pid_namespace() -> str:
    return str((_PROC / "self/ns/pid").stat().st_ino)


def _start_ticks(pid: int) -> str | None:
    """When a process began, in clock ticks since boot: a reused pid differs. None: no process."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]
