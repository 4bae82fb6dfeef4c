"""Links opened and closed over and over leave nothing, and the look for it can find something."""

from __future__ import annotations

import subprocess
import sys

import pytest
from machine import need_uml, run_cli

from netem.backends import ProxyBackend
from netem.conformance.cycles import run_cycles

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_proxies_leave_nothing() -> None:
    cycles = run_cycles("proxy", 6)
    assert [cycle.left for cycle in cycles] == [()] * 6
    assert {cycle.seen for cycle in cycles} == {3}  # the proxy and a program at each end


def test_a_child_from_before_is_no_trace_of_a_link() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        (cycle,) = run_cycles("proxy", 1)
    finally:
        child.kill()
        child.wait()
    assert cycle.left == ()
    assert cycle.seen == 3


@pytest.mark.uml
def test_guests_leave_nothing() -> None:
    need_uml()
    (cycle,) = run_cycles("uml", 1)
    assert cycle.left == ()
    # Guest, its launcher, two programs; three namespaces and the directory.
    assert cycle.seen >= 8


def test_what_is_left_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[ProxyBackend] = []
    with monkeypatch.context() as patched:
        patched.setattr(ProxyBackend, "close", lambda self: forgotten.append(self))
        (cycle,) = run_cycles("proxy", 1)
    process = forgotten[-1]._process
    assert process is not None
    pid = process.pid
    for backend in forgotten:
        backend.close()
    assert f"process {pid}" in cycle.left
    assert "1 more children" in cycle.left
    assert any("more file descriptors" in line for line in cycle.left)


def test_the_command_says_so_and_refuses_nonsense() -> None:
    done = run_cli("cycle", "--backend", "proxy", "--times", "2")
    assert done.returncode == 0, done.stderr
    row = done.stdout.splitlines()[-1]
    assert [cell.strip() for cell in row.split("|")][1:3] == ["proxy", "2"]
    assert row.rstrip(" |").endswith(" 0")
    done = run_cli("cycle", "--times", "0")
    assert done.returncode == 2
    assert "must be at least 1" in done.stderr
