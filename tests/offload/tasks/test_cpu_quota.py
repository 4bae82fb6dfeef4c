"""The CPU quota really slows a process down, and leaves no group behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from offload import cgroup
from offload.cgroup import CpuGroup, CpuParent, find_cpu_parent, remove_stale
from offload.cpu_quota import CpuLimit
from offload.errors import BackendError, ConfigError, VerifyError

# Burns a fixed amount of its own CPU time and prints the wall time it took.
BURN = """
import sys, time
sys.stdin.readline()
wall, end = time.perf_counter(), time.process_time() + float(sys.argv[1])
while time.process_time() < end:
    pass
print(time.perf_counter() - wall)
"""
BURN_CPU_S = 0.2


@pytest.fixture
def parent() -> CpuParent:
    try:
        return find_cpu_parent()
    except BackendError as error:
        pytest.skip(str(error))


def groups(parent: CpuParent) -> set[Path]:
    return set(parent.path.glob(f"offload-cpu-*-{os.getpid()}-*"))


def burn_ratio(limit: CpuLimit) -> float:
    """Wall over CPU seconds of a busy loop under ``limit``."""
    with subprocess.Popen(
        [sys.executable, "-c", BURN, str(BURN_CPU_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        limit.add(process.pid)
        return float(process.communicate("go\n")[0]) / BURN_CPU_S


def calmest_ratio(limit: CpuLimit, below: float) -> float:
    """The smallest of up to four ratios: other load on the machine can only lengthen one."""
    smallest = burn_ratio(limit)
    for _ in range(3):
        if smallest <= below:
            break
        smallest = min(smallest, burn_ratio(limit))
    return smallest


@pytest.mark.measured
@pytest.mark.parametrize("slowdown", [2.0, 4.0])
def test_a_busy_loop_takes_that_many_times_longer(parent: CpuParent, slowdown: float) -> None:
    with CpuLimit(slowdown) as limit:
        assert limit.method == parent.method
        ratio = calmest_ratio(limit, below=1.2 * slowdown)
    assert 0.82 * slowdown <= ratio <= 1.2 * slowdown


@pytest.mark.measured
def test_lifted_the_loop_runs_at_full_speed(parent: CpuParent) -> None:
    with CpuLimit(20.0) as limit, limit.lifted():
        assert calmest_ratio(limit, below=2.0) < 5.0


def test_the_group_goes_with_the_limit_whatever_happens(parent: CpuParent) -> None:
    assert groups(parent) == set()
    with CpuLimit(4.0):
        (group,) = groups(parent)
        assert group.is_dir()
    assert groups(parent) == set()

    def fail() -> None:
        with CpuLimit(4.0) as limit:
            limit.add(os.getpid())
            raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        fail()
    assert groups(parent) == set()
    # This process went back to where it was, so is not slowed down.
    assert find_cpu_parent() == parent


def test_the_group_of_a_dead_owner_is_removed_and_a_live_one_kept(parent: CpuParent) -> None:
    script = "import os; from offload.cpu_quota import CpuLimit; CpuLimit(4.0); os._exit(0)"
    owner = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[3])
    owner.wait()
    (stale,) = parent.path.glob(f"offload-cpu-*-{owner.pid}-*")
    with CpuLimit(4.0):
        assert not stale.exists()
        assert remove_stale(parent) == []
        assert len(groups(parent)) == 1


def test_a_pid_that_is_gone_cannot_be_added(parent: CpuParent) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with (
        CpuLimit(4.0, method=parent.method) as limit,
        pytest.raises(BackendError, match=str(gone.pid)),
    ):
        limit.add(gone.pid)


def test_without_a_cgroup_it_sleeps_and_says_so(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("proc /proc proc rw 0 0\n")
    with CpuLimit(4.0, mounts=mounts) as limit:
        assert limit.method == "sleep"
        assert "no cgroup file system" in limit.reason
        limit.add(os.getpid())
        # 0.2 s of CPU in 0.25 s of wall time: 0.8 s are due altogether.
        assert limit.owed_s(cpu_s=0.2, wall_s=0.25) == pytest.approx(0.55)
        assert limit.owed_s(cpu_s=0.2, wall_s=0.9) == 0.0
    with pytest.raises(BackendError, match="cgroup-v2"):
        CpuLimit(4.0, method="cgroup-v2", mounts=mounts)


def test_bounds() -> None:
    for slowdown in (0.5, 0.0, -4.0, float("nan"), 1e6):
        with pytest.raises(ConfigError, match="from 1 to 100"):
            CpuLimit(slowdown)
    with CpuLimit(1.0) as limit:
        assert limit.method == "none"
        assert limit.owed_s(1.0, 1.0) == 0.0


def test_a_great_slowdown_keeps_the_quota_the_kernel_takes(parent: CpuParent) -> None:
    with CpuLimit(50.0) as limit:
        assert limit.method == parent.method
        assert limit.reason == "quota 1 of 50 ms"


class TestVersion2:
    """On files laid out as the kernel lays them out; the real thing where it is mounted."""

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        root = tmp_path / "cgroup"
        (root / "user.slice/session.scope").mkdir(parents=True)
        (root / "cgroup.subtree_control").write_text("cpu memory\n")
        (root / "user.slice/cgroup.subtree_control").write_text("cpu\n")
        (root / "user.slice/session.scope/cgroup.subtree_control").write_text("\n")
        (tmp_path / "mounts").write_text(f"cgroup2 {root} cgroup2 rw,nosuid 0 0\n")
        (tmp_path / "membership").write_text("0::/user.slice/session.scope\n")
        return tmp_path

    def test_the_nearest_group_that_hands_cpu_down_is_the_parent(self, tree: Path) -> None:
        # A plain file keeps "+cpu" as written, which the kernel would not: so take that way out.
        control = tree / "cgroup/user.slice/session.scope/cgroup.subtree_control"
        control.unlink()
        found = find_cpu_parent(None, tree / "mounts", tree / "membership")
        assert found == CpuParent("cgroup-v2", tree / "cgroup/user.slice")
        with pytest.raises(BackendError):
            find_cpu_parent("cgroup-v1", tree / "mounts", tree / "membership")

    def test_the_quota_is_written_as_cpu_max(self, tree: Path) -> None:
        group = CpuGroup(CpuParent("cgroup-v2", tree / "cgroup"))
        group.set_quota(0.01, 0.0025)
        assert (group.path / "cpu.max").read_text() == "2500 10000"
        group.set_quota(0.01, None)
        assert (group.path / "cpu.max").read_text() == "max 10000"

    def test_the_real_one(self) -> None:
        try:
            find_cpu_parent("cgroup-v2")
        except BackendError as error:
            pytest.skip(f"no cgroup version 2 with the cpu controller: {error}")
        with CpuLimit(4.0, method="cgroup-v2") as limit:
            assert 3.3 <= calmest_ratio(limit, below=4.8) <= 4.8


def test_what_reads_back_different_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = CpuGroup(CpuParent("cgroup-v1", tmp_path))
    monkeypatch.setattr(Path, "read_text", lambda self: "5000")
    with pytest.raises(VerifyError, match="'5000'"):
        group._write("cpu.cfs_quota_us", "2500")


def test_start_ticks_tell_a_process_from_its_successor() -> None:
    assert cgroup._start_ticks(os.getpid()) == cgroup._start_ticks(os.getpid())
    time.sleep(0.05)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert cgroup._start_ticks(child.pid) not in (None, cgroup._start_ticks(os.getpid()))
        child.kill()
    assert cgroup._start_ticks(child.pid) is None
