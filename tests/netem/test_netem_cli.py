"""The command line: what it says, how fast, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machine import REPOSITORY, need_tun, run_cli

from netem.backends import BACKENDS
from netem.commands.ending import quiet_when_nobody_reads
from offload.link_profiles import PROFILES

CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
TUN = ("--backend", "tun")
"""It starts in a fraction of a guest's boot; these tests are of the command line."""
REPORTS = """
import socket, sys
def report(connection):
    name = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    print(sys.argv[1], name.rstrip(bytes(1)).decode(), flush=True)
if sys.argv[1] == "edge":
    with socket.create_server((sys.argv[2], 9000)) as server:
        report(server.accept()[0])
else:
    report(socket.create_connection((sys.argv[2], 9000)))
"""
SENDS = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for _ in range(50):
        sender.sendto(bytes(100), (sys.argv[1], int(sys.argv[2])))
time.sleep(0.5)
"""
RECEIVES = """
import socket, sys, time
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind((sys.argv[1], int(sys.argv[2])))
time.sleep(60)
"""


def test_help_names_every_command_without_heavy_imports() -> None:
    done = run_cli("--help")
    assert done.returncode == 0
    commands = {
        "doctor",
        "profiles",
        "measure",
        "conform",
        "cycle",
        "up",
        "play",
        "respond",
        "probe",
    }
    assert commands <= set(done.stdout.split())
    heavy = "torch", "matplotlib", "scipy", "pandas"
    code = f"import sys, netem.__main__; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "[]\n"


@pytest.mark.parametrize("arguments", [("--help",), ("up", "--help"), ("profiles",)])
def test_a_reader_that_leaves_early_is_no_error(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "netem", *arguments],
            cwd=REPOSITORY,
            stdout=nobody,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_broken_pipe_that_is_not_the_output_is_an_error() -> None:
    with pytest.raises(BrokenPipeError), quiet_when_nobody_reads():
        raise BrokenPipeError


def test_profiles_prints_every_profile() -> None:
    done = run_cli("profiles")
    assert done.returncode == 0
    for name in PROFILES:
        assert f"| {name} " in done.stdout
    assert "3.5 / 1.3" in done.stdout


def test_doctor_names_every_backend_and_what_the_machine_allows() -> None:
    done = run_cli("doctor")
    assert done.returncode in {0, 1}
    assert done.stdout.startswith("tc: ")
    for name in [backend.name for backend in BACKENDS][1:]:
        assert f"\n{name}: " in done.stdout
    usable = re.search(r"\nCPUs: +(\d+),", done.stdout)
    assert usable is not None
    assert int(usable[1]) == len(os.sched_getaffinity(0))
    for algorithm in CONGESTION_CONTROL.read_text().split():
        assert re.search(rf"\ncongestion control: .*\b{algorithm}\b", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("measure", "wify"), "Did you mean 'wifi'"),
        (("measure", "wifi", "--backend", "ulm"), "Did you mean 'uml'"),
        (("measure", "wifi", "--seconds", "0"), "0.5 to 120"),
        (("up", "wifi"), "no command given"),
        (("up", "wify", "--", "true"), "Did you mean 'wifi'"),
        (("up", "wifi", "--congestion-control", "rebo", "--", "true"), "Did you mean 'reno'"),
        (("up", "wifi", "--edge-command", "sh -c 'true", "--", "true"), "No closing quotation"),
        (("up", "wifi", "--edge-port", "70000", "--", "true"), "must lie from 1 to 65535"),
        (("respond", "--bind", "203.0.113.9"), "cannot listen"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = run_cli(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.measured
def test_respond_and_probe_meet_and_sigterm_ends_it() -> None:
    responder = subprocess.Popen(
        [sys.executable, "-m", "netem", "respond", "--port", "0"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert responder.stdout is not None
    port = responder.stdout.readline().strip().rsplit(":", 1)[1]
    done = run_cli("probe", "127.0.0.1", "--port", port)
    responder.send_signal(signal.SIGTERM)
    assert responder.wait(timeout=10) == 0
    responder.stdout.close()
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert answer["loss"] == 0.0
    assert 0.0 < answer["rtt_s"] < 0.05
    assert run_cli("probe", "127.0.0.1", "--port", port).returncode == 1


def test_up_passes_the_address_and_the_exit_code(leaves_nothing: set[int]) -> None:
    need_tun()
    done = run_cli("up", "lte", *TUN, "--", "sh", "-c", "echo $OFFLOAD_EDGE_ADDRESS; exit 7")
    assert done.returncode == 7
    assert done.stdout.startswith("198.18.")


@pytest.mark.measured
def test_up_starts_an_edge_command_and_ends_it(leaves_nothing: set[int]) -> None:
    need_tun()
    python = sys.executable
    done = run_cli(
        *("up", "wifi", *TUN, "--edge-command", f"{python} -m netem respond --bind 0.0.0.0"),
        *("--edge-port", "47400", "--", "sh", "-c"),
        f"{python} -m netem probe $OFFLOAD_EDGE_ADDRESS",
    )
    assert done.returncode == 0, done.stderr
    state = json.loads(done.stdout.strip().splitlines()[-1])
    assert state["uplink_bps"] == pytest.approx(30e6, rel=0.08)


def test_up_sets_the_congestion_control_of_any_program(
    leaves_nothing: set[int], tmp_path: Path
) -> None:
    need_tun()
    program = tmp_path / "reports.py"
    program.write_text(REPORTS)
    done = run_cli(
        *("up", "wifi", *TUN, "--congestion-control", "reno", "--edge-port", "9000"),
        *("--edge-command", f"{sys.executable} {program} edge {{edge}}", "--"),
        *(sys.executable, str(program), "device", "{edge}"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "device reno\n"
    assert "\nedge reno\n" in done.stderr
    assert "TCP uses reno\n" in done.stderr


def test_up_counts_what_crossed(leaves_nothing: set[int], tmp_path: Path) -> None:
    need_tun()
    (tmp_path / "sends.py").write_text(SENDS)
    (tmp_path / "receives.py").write_text(RECEIVES)
    done = run_cli(
        *("up", "lan", *TUN, "--edge-port", "9001", "--edge-command"),
        *(f"{sys.executable} {tmp_path}/receives.py {{edge}} {{port}}", "--"),
        *(sys.executable, f"{tmp_path}/sends.py", "{edge}", "{port}"),
    )
    assert done.returncode == 0, done.stderr
    # 100 bytes behind 8 of UDP, 20 of IP and 14 of Ethernet; nothing else is on the link.
    counted = "up 50 packets (7100 bytes) sent, 0 lost, 0 dropped by the full queue; down 0 packets"
    assert counted in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--edge-command", "false", "--edge-port", "80"),
            "ended with exit code 1 before anything",
        ),
        (("--edge-command", "no-such-program"), "no program 'no-such-program'"),
    ],
)
def test_up_refuses_what_cannot_be(
    leaves_nothing: set[int], words: tuple[str, ...], said: str
) -> None:
    need_tun()
    done = run_cli("up", "wifi", *TUN, *words, "--", "true")
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_up_of_an_unknown_program(leaves_nothing: set[int]) -> None:
    need_tun()
    done = run_cli("up", "wifi", *TUN, "--", "no-such-program")
    assert done.returncode == 2
    assert "no program 'no-such-program'" in done.stderr


@pytest.mark.chaos
@pytest.mark.parametrize(("ending", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_up_that_is_told_to_end_leaves_nothing(
    leaves_nothing: set[int], ending: signal.Signals, code: int
) -> None:
    need_tun()
    process = subprocess.Popen(
        [sys.executable, "-m", "netem", "up", "wifi", *TUN, "--", "sh", "-c", "echo on; sleep 60"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    begin = time.monotonic()
    process.send_signal(ending)
    assert process.wait(timeout=15) == code
    assert time.monotonic() - begin < 5
    process.stdout.close()


@pytest.mark.measured
def test_measure_writes_the_file(leaves_nothing: set[int], tmp_path: Path) -> None:
    need_tun()
    file = tmp_path / "deep" / "measured.json"
    done = run_cli("measure", "wifi", *TUN, "--seconds", "0.5", "--json", str(file))
    if done.returncode == 3:
        pytest.skip(f"this machine is too busy to measure: {done.stderr}")
    assert done.returncode == 0, done.stderr
    record = json.loads(file.read_text())
    (row,) = record["profiles"]
    assert row["profile"] == "wifi"
    assert row["rtt_set_s"] == pytest.approx(0.006)
    assert row["rtt_s"] == pytest.approx(0.006, abs=0.002)
    assert row["uplink_goodput_bps"] == pytest.approx(28e6, rel=0.1)
    assert record["command"] == "python -m netem measure wifi --backend tun --seconds 0.5"
