"""A user namespace of one's own: what it holds, and that nothing survives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ordinary_user as user
import pytest

from netem.unprivileged import explain, forbidding_setting, refusal


@pytest.fixture(autouse=True)
def possible() -> None:
    user.need_user_namespaces()


def launched(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script inside."""
    return user.run(user.python(), "-I", "-S", user.LAUNCHER, "sh", "-c", script)


def start_launched(script: str) -> subprocess.Popen[str]:
    return user.start(user.python(), "-I", "-S", user.LAUNCHER, "sh", "-c", script)


def processes_of(namespace: str) -> set[int]:
    """Living processes in the process namespace that ``readlink /proc/self/ns/pid`` named."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "ns" / "pid") == namespace:
                    found.add(int(entry.name))
            except OSError:  # ended meanwhile, or a zombie
                continue
    return found


def wait_until_empty(namespace: str, patience_s: float = 5.0) -> None:
    deadline = time.monotonic() + patience_s
    while left := processes_of(namespace):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.01)


def test_root_inside_and_the_users_files_outside(tmp_path: Path) -> None:
    user.hand_over(tmp_path)
    before = set(Path("/run/netns").glob("*"))
    done = launched(
        f"id -u; touch {tmp_path}/file; ip netns add only-here; ls /run/netns; ls /run | wc -l;"
        " cat /proc/1/status | grep NSpid; ip -br link show dev lo"
    )
    uid, namespace, entries, first, loopback = done.stdout.splitlines()
    assert (uid, namespace, done.returncode) == ("0", "only-here", 0)
    assert (tmp_path / "file").stat().st_uid == user.UID
    assert set(Path("/run/netns").glob("*")) == before
    assert int(entries) >= len(set(os.listdir("/run")) - {"offload-netem"})
    assert first.split() == ["NSpid:", "1"]
    assert "UP" in loopback


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
def test_exit_code_is_the_programs(script: str, code: int) -> None:
    assert launched(script).returncode == code


def test_unknown_program_exits_127_and_is_named() -> None:
    done = user.run(user.python(), "-I", "-S", user.LAUNCHER, "/no/such")
    assert done.returncode == 127
    assert done.stderr == "cannot run /no/such: No such file or directory\n"


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ending_the_callers_process_ends_everything(ending: signal.Signals) -> None:
    # The daemon has a session of its own and ignores what the launcher passes on.
    process = start_launched(
        "setsid sh -c 'trap \"\" TERM INT HUP; sleep 300; sleep 300' &"
        " readlink /proc/self/ns/pid; exec sleep 300"
    )
    assert process.stdout is not None
    namespace = process.stdout.readline().strip()
    assert len(processes_of(namespace)) >= 3  # process 1, the program, the daemon
    process.send_signal(ending)
    code = process.wait(timeout=10)
    process.stdout.close()
    assert code == (-9 if ending is signal.SIGKILL else 128 + ending)
    wait_until_empty(namespace)


def test_orphans_are_reaped() -> None:
    # The subshell leaves a process behind that ends soon; process 1 must wait for it.
    done = launched("(sleep 0.1 &); sleep 0.4; cat /proc/[0-9]*/stat | grep -c ' Z '; true")
    assert done.stdout.strip() == "0"


def test_forbidden_by_a_setting_names_it_and_the_command() -> None:
    # A limit of zero, set inside a user namespace, holds for those made within it alone.
    inner = (
        f"{user.python()} -c 'from netem import unprivileged as u;"
        ' print(u.privileged(), *u.enter(), sep="|")\''
    )
    done = launched(
        "echo 0 > /proc/sys/user/max_user_namespaces &&"
        f" exec setpriv --inh-caps=-all --bounding-set=-all {inner}"
    )
    assert done.returncode == 0, done.stderr
    privileged, reason, remedy = done.stdout.strip().split("|")
    assert privileged == "False"
    assert reason.startswith("user namespaces are forbidden: user.max_user_namespaces is 0 (")
    assert remedy == "sudo sysctl -w user.max_user_namespaces=15000"


@pytest.mark.parametrize(
    ("name", "forbids", "allows"),
    [
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ("user.max_net_namespaces", "0", "15000"),
    ],
)
def test_each_forbidding_setting_has_its_remedy(
    tmp_path: Path, name: str, forbids: str, allows: str
) -> None:
    setting = tmp_path / name.replace(".", "/")
    setting.parent.mkdir()
    setting.write_text(f"{allows}\n")
    assert forbidding_setting(tmp_path) is None
    setting.write_text(f"{forbids}\n")
    found = forbidding_setting(tmp_path)
    assert found is not None
    assert f"{name} is {forbids}" in found.reason
    assert found.remedy == f"sudo sysctl -w {name}={allows}"


def test_an_interpreter_that_the_user_may_not_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "python3"
    closed.write_text("")
    monkeypatch.setattr(sys, "executable", str(closed))
    found = refusal()
    assert found is not None
    assert f"may not run {closed}" in found.reason


def test_containers_refusal_of_proc_is_told_apart() -> None:
    found = explain("mounting proc at /proc: Operation not permitted")
    assert "hides parts of /proc" in found.reason
    assert "systempaths=unconfined" in found.remedy
