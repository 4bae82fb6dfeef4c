"""The command line: what it says, how fast, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY, need_uml, run_cli

from offload.link_profiles import PROFILES


def test_help_names_every_command_without_heavy_imports() -> None:
    done = run_cli("--help")
    assert done.returncode == 0
    for command in ("doctor", "profiles", "measure", "up", "respond", "probe"):
        assert command in done.stdout
    code = "import sys, netem.__main__; print('numpy' in sys.modules, 'torch' in sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.split()[1] == "False"


def test_profiles_prints_every_profile() -> None:
    done = run_cli("profiles")
    assert done.returncode == 0
    for name in PROFILES:
        assert f"| {name} " in done.stdout
    assert "3.5 / 1.3" in done.stdout


def test_doctor_names_every_backend() -> None:
    done = run_cli("doctor")
    assert done.returncode in {0, 1}
    assert done.stdout.startswith("tc: ")
    assert "\numl: " in done.stdout


def test_doctor_works_without_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    done = subprocess.run(
        [*nobody, sys.executable, "-m", "netem", "doctor"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if "Permission denied" in done.stderr:
        pytest.skip("this checkout cannot be read without root")
    assert done.returncode == 1, done.stderr
    assert "sudo" in done.stdout or "apt-get" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("measure", "wify"), "Did you mean 'wifi'"),
        (("measure", "wifi", "--backend", "ulm"), "Did you mean 'uml'"),
        (("measure", "wifi", "--seconds", "0"), "0.5 to 120"),
        (("up", "wifi"), "no command given"),
        (("respond", "--bind", "203.0.113.9"), "cannot listen"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = run_cli(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


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


@pytest.mark.uml
def test_up_passes_the_address_and_the_exit_code(leaves_nothing: set[int]) -> None:
    need_uml()
    done = run_cli("up", "lte", "--", "sh", "-c", "echo $OFFLOAD_EDGE_ADDRESS; exit 7")
    assert done.returncode == 7
    assert done.stdout.startswith("198.18.")


@pytest.mark.uml
def test_up_starts_an_edge_command_and_ends_it(leaves_nothing: set[int]) -> None:
    need_uml()
    python = sys.executable
    done = run_cli(
        *("up", "wifi", "--edge-command", f"{python} -m netem respond --bind 0.0.0.0", "--"),
        *("sh", "-c", f"sleep 1.5; {python} -m netem probe $OFFLOAD_EDGE_ADDRESS"),
    )
    assert done.returncode == 0, done.stderr
    state = json.loads(done.stdout.strip().splitlines()[-1])
    assert state["uplink_bps"] == pytest.approx(30e6, rel=0.08)


@pytest.mark.uml
def test_up_of_an_unknown_program(leaves_nothing: set[int]) -> None:
    need_uml()
    done = run_cli("up", "wifi", "--", "no-such-program")
    assert done.returncode == 2
    assert "no program 'no-such-program'" in done.stderr


@pytest.mark.uml
@pytest.mark.chaos
def test_up_that_is_terminated_leaves_nothing(leaves_nothing: set[int]) -> None:
    need_uml()
    process = subprocess.Popen(
        [sys.executable, "-m", "netem", "up", "wifi", "--", "sh", "-c", "echo on; sleep 60"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    begin = time.monotonic()
    process.terminate()
    assert process.wait(timeout=15) == 143
    assert time.monotonic() - begin < 5
    process.stdout.close()


@pytest.mark.uml
def test_measure_writes_the_file(leaves_nothing: set[int], tmp_path: Path) -> None:
    need_uml()
    file = tmp_path / "deep" / "measured.json"
    done = run_cli("measure", "wifi", "--seconds", "1", "--json", str(file))
    assert done.returncode == 0, done.stderr
    record = json.loads(file.read_text())
    (row,) = record["profiles"]
    assert row["profile"] == "wifi"
    assert row["rtt_set_s"] == pytest.approx(0.006)
    assert row["rtt_s"] == pytest.approx(0.006, abs=0.002)
    assert row["uplink_goodput_bps"] == pytest.approx(28e6, rel=0.1)
    assert record["command"] == "python -m netem measure wifi --backend auto --seconds 1"
