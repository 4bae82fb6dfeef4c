"""Makes a process as slow as a device's CPU, by a cgroup CPU quota; and says how.

A quota of a quarter of each period makes a single-threaded process four times slower, whatever it
does. The kernel refuses quotas under 1 ms and long periods make short tasks bimodal, hence periods
of 10 ms. Where no cgroup can be made, the substitute is to sleep after each task.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from offload.cgroup import CpuGroup, find_cpu_parent, remove_stale
from offload.errors import BackendError, ConfigError

_LOG = logging.getLogger(__name__)

Method = Literal["none", "cgroup-v1", "cgroup-v2", "sleep"]

PERIOD_S = 0.010
_MIN_QUOTA_S = 0.001
_MAX_SLOWDOWN = 100.0


class CpuLimit:
    """Slows the processes added to it down by a factor; a context manager.

    Args:
        slowdown: times slower than a full core, from 1 (no limit) to 100.
        method: None takes a cgroup quota where one can be set and sleeping where not;
            ``"sleep"`` asks for sleeping; a cgroup by name makes its absence an error.
        mounts: the table of mounts in which a cgroup file system is looked for.

    Attributes:
        slowdown: as given.
        method: what is in use: ``"cgroup-v1"``, ``"cgroup-v2"``, ``"sleep"``, or ``"none"`` for
            a slowdown of 1.
        reason: why ``method`` is what it is.

    Raises:
        ConfigError: ``slowdown`` is out of bounds.
        BackendError: ``method`` names a cgroup that cannot be used here.
    """

    def __init__(
        self,
        slowdown: float,
        method: Method | None = None,
        mounts: Path = Path("/proc/self/mounts"),
    ) -> None:
        self.slowdown = _checked(slowdown)
        self.method: Method = "none"
        self.reason = "a slowdown of 1 needs no limit"
        self._by_name = method is not None
        self._group: CpuGroup | None = None
        if slowdown == 1.0 or method == "none":
            return
        if method == "sleep":
            self.method, self.reason = "sleep", "asked for"
            return
        try:
            self._group = self._make_group(mounts, method)
        except (OSError, BackendError) as error:
            if method is not None:
                raise BackendError(f"no {method} CPU quota can be set here: {error}") from error
            self._sleep_because(error)
            return
        self.method = self._group.method
        self.reason = self._quota_text

    @property
    def _period_s(self) -> float:
        return max(PERIOD_S, _MIN_QUOTA_S * self.slowdown)

    @property
    def _quota_s(self) -> float:
        return self._period_s / self.slowdown

    @property
    def _quota_text(self) -> str:
        return f"quota {self._quota_s * 1e3:g} of {self._period_s * 1e3:g} ms"

    def _make_group(self, mounts: Path, method: Method | None) -> CpuGroup:
        parent = find_cpu_parent(method, mounts)
        remove_stale(parent)
        group = CpuGroup(parent)
        try:
            group.set_quota(self._period_s, self._quota_s)
        except BaseException:
            group.remove()
            raise
        return group

    def add(self, pid: int) -> None:
        """Put a process, all its threads and its future children under the limit.

        Where the kernel lets a group be made but no process be moved, the method turns to sleeping,
        unless a cgroup was asked for by name.

        Raises:
            BackendError: the process cannot be moved into the group asked for.
            VerifyError: it is not there afterwards.
        """
        if self._group is None:
            return
        try:
            self._group.add(pid)
        except BackendError as error:
            if self._by_name:
                raise
            self.close()
            self._sleep_because(error)

    def _sleep_because(self, error: Exception) -> None:
        self.method = "sleep"
        self.reason = f"no cgroup CPU quota can be set here: {error}"
        _LOG.warning("%s; sleeping after each task instead", self.reason)

    def change(self, slowdown: float) -> None:
        """Another factor from now on, for the processes added before too.

        Raises:
            ConfigError: it is out of bounds, or no limit was asked for at the start.
        """
        if self.method == "none":
            raise ConfigError("a CPU limit that began with a slowdown of 1 cannot be changed")
        self.slowdown = _checked(slowdown)
        if self._group is not None:
            self._group.set_quota(self._period_s, self._quota_s)
            self.reason = self._quota_text

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """The limit taken off for the block: to load models outside of any timing."""
        if self._group is None:
            yield
            return
        self._group.set_quota(self._period_s, None)
        try:
            yield
        finally:
            self._group.set_quota(self._period_s, self._quota_s)

    def owed_s(self, cpu_s: float, wall_s: float) -> float:
        """Seconds still to wait after a task, so that it took ``slowdown`` times its CPU seconds.

        With the sleeping method that is all of the slowdown. With a quota it is what the kernel
        gave away: the first slice of a period runs at full speed, so a task of a millisecond
        would not be slowed down at all.
        """
        if self.method == "none":
            return 0.0
        return max(0.0, self.slowdown * cpu_s - wall_s)

    def close(self) -> None:
        """Take the limit off and remove the group; processes left in it go back where it was."""
        group, self._group = self._group, None
        if group is not None:
            group.remove()

    def __enter__(self) -> CpuLimit:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def _checked(slowdown: float) -> float:
    if not 1.0 <= slowdown <= _MAX_SLOWDOWN:
        raise ConfigError(f"slowdown {slowdown} is not from 1 to {_MAX_SLOWDOWN:g}")
    return slowdown
