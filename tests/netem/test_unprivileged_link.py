"""Links opened by an ordinary user: they carry, they shape, and they end with their owner."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ordinary_user as user
import pytest
from machine import REPOSITORY, need_uml

from netem.unprivileged import namespaces_refused

TC_SCRIPT = str(REPOSITORY / "tests" / "netem" / "tc_without_netem.py")
SURVIVES_CTRL_C = """
import sys, time
try:
    print("ready", flush=True)
    time.sleep(30)
except KeyboardInterrupt:
    print("caught", flush=True)
    sys.exit(5)
"""


def up(profile: str, *words: str) -> list[str]:
    """``netem up`` as the user, over a backend that carries packets."""
    backend = user.packet_backend()
    return [user.python(), "-m", "netem", "up", profile, "--backend", backend, *words]


def probing(profile: str) -> list[str]:
    """``netem up`` with a probe responder at the edge and a probe at the device."""
    python = user.python()
    edge = f"{python} -m netem respond --bind {{edge}}"
    words = ["--edge-command", edge, "--edge-port", "47400", "--"]
    return up(profile, *words, python, "-m", "netem", "probe", "{edge}")


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("who", ["root", "ordinary user"])
def test_tc_carries_and_its_tbf_shapes(who: str) -> None:
    if who == "root":
        if namespaces_refused() is not None:
            pytest.skip("not root")
        done = subprocess.run(
            [sys.executable, TC_SCRIPT],
            cwd=REPOSITORY,
            env=user.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    else:
        user.need_user_namespaces()
        done = user.run(user.python(), TC_SCRIPT)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["uid"] == (user.UID if who == "ordinary user" else None)
    assert found["tbf_rate_bytes_per_s"] == 1_000_000
    # 1448 of 1514 bytes are payload: at most 7.65 Mbit/s, and what the bucket holds in 2 s.
    assert 0.85 * 7.65e6 < found["up_bps"] < 1.03 * 7.65e6
    assert found["tbf_sent_bytes"] > 2.0 * 0.85 * 7.65e6 / 8
    assert found["down_bps"] > 10 * 8e6  # only the uplink was shaped
    assert found["routes"] == ["cubic", "cubic"]
    assert found["metrics_saved"] == [False, False]
    assert found["left"] == []


@pytest.mark.uml
def test_uml_where_the_tun_device_is_open(tmp_path: Path) -> None:
    """Root lays an open TUN device over the machine's, in a mount namespace of the test's own."""
    if os.geteuid() != 0:
        pytest.skip("only root can lay a device over another")
    need_uml()
    user.need_user_namespaces()
    device = tmp_path / "dev"
    device.mkdir()
    lay = f"mount -t tmpfs tmpfs {device} && mknod -m 0666 {device}/tun c 10 200"
    run_netem = user.argv(user.python(), "-m", "netem", "up", "wifi", "--backend", "uml", "--")
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c"),
            f'{lay} && mount --bind {device}/tun /dev/net/tun && exec "$@"',
            *("sh", *run_netem, "sh", "-c", "id -u; echo $OFFLOAD_EDGE_ADDRESS"),
        ],
        cwd=REPOSITORY,
        env=user.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0\n198.18.0.6\n"
    assert "netem: wifi: up 30 Mbit/s, 3 ± 1 ms" in done.stderr  # printed once it read back equal


@pytest.mark.slow
@pytest.mark.measured
def test_two_links_of_two_runs_side_by_side() -> None:
    """Both have the same names and addresses, each in a namespace of its own."""
    runs = {profile: user.start(*probing(profile)) for profile in ("wifi", "lte")}
    states = {}
    for profile, process in runs.items():
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        states[profile] = json.loads(output.splitlines()[-1])
    # Set: 6 and 40 ms. Without real-time priority a busy machine adds some.
    assert 0.004 < states["wifi"]["rtt_s"] < 0.020
    assert 0.034 < states["lte"]["rtt_s"] < 0.054
    assert states["wifi"]["uplink_bps"] == pytest.approx(30e6, rel=0.25)
    assert states["lte"]["uplink_bps"] == pytest.approx(14e6, rel=0.25)
    assert states["lte"]["downlink_bps"] == pytest.approx(39e6, rel=0.25)


@pytest.mark.chaos
def test_nothing_outlives_the_owner() -> None:
    script = "readlink /proc/self/ns/pid; exec sleep 300"
    endings = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
    words = up("wifi", "--edge-command", "sleep 300", "--", "sh", "-c", script)
    owners = {ending: user.start(*words) for ending in endings}
    for ending, process in owners.items():
        assert process.stdout is not None
        namespace = process.stdout.readline().strip()
        assert running_in(namespace) > 3  # process 1, netem, its router, both programs
        process.send_signal(ending)
        assert process.wait(timeout=10) == endings[ending]
        process.stdout.close()
        deadline = time.monotonic() + 5
        while running_in(namespace):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def running_in(namespace: str) -> int:
    """How many living processes are in a process namespace."""
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                count += os.readlink(entry / "ns" / "pid") == namespace
            except OSError:  # ended meanwhile
                continue
    return count


@pytest.mark.chaos
def test_ctrl_c_at_a_terminal_is_the_programs_to_handle() -> None:
    words = up("wifi", "--", user.python(), "-c", SURVIVES_CTRL_C)
    ours, terminal = pty.openpty()
    process = user.start(
        "setsid", "--ctty", *words, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    said = b""
    while b"ready" not in said:
        said += os.read(ours, 4096)
    os.write(ours, b"\x03")
    while True:
        try:
            said += os.read(ours, 4096)
        except OSError:  # the last process closed the terminal
            break
    os.close(ours)
    assert process.wait(timeout=10) == 5
    assert b"caught" in said
    assert b"counters: up" in said
    assert b"Traceback" not in said


def test_doctor_says_what_the_user_can_do() -> None:
    user.need_user_namespaces()
    done = user.run(user.python(), "-m", "netem", "doctor")
    assert done.returncode == 0, done.stdout
    assert f"uid {user.UID}; links get a user namespace of their own, no sudo needed" in done.stdout
    assert "user namespaces:     allowed" in done.stdout
    assert "real-time priority:" in done.stdout
    assert "congestion control:" in done.stdout


def test_doctor_names_what_forbids_user_namespaces() -> None:
    user.need_user_namespaces()
    done = user.run(
        *(user.python(), "-I", "-S", user.LAUNCHER, "sh", "-c"),
        "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all"
        f" --bounding-set=-all {user.python()} -m netem doctor",
    )
    tc = done.stdout[: done.stdout.index("\numl:")]
    assert tc.startswith("tc: no")
    assert "user.max_user_namespaces is 0" in tc
    assert "to fix it: run it with sudo, or: sudo sysctl -w user.max_user_namespaces=15000" in tc


@pytest.mark.slow
def test_live_evaluation_as_an_ordinary_user(tmp_path: Path) -> None:
    user.hand_over(tmp_path)
    backend = user.packet_backend()
    words = ["--mode", "live", "--backend", backend, "--profile", "wifi", "--tasks", "2"]
    few = ["--max-local", "0.1", "--policies", "always-local,always-edge"]
    places = [
        "--runs",
        f"{tmp_path}/none",
        "--out",
        f"{tmp_path}/out",
        "--json",
        f"{tmp_path}/sum.json",
    ]
    program = "tests/integration/evaluate_anyway.py"
    done = user.run(user.python(), program, *words, *few, *places, timeout_s=120.0)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "sum.json").read_text())
    assert (summary["mode"], summary["backend"]) == ("live", backend)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"result.json", "decisions.csv", "sum.json"} <= {path.name for path in written}
    assert {path.stat().st_uid for path in written} == {user.UID}
