"""Backend proxy as a program: what it says of itself, refuses and leaves, and how it ends."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ordinary_user
import pytest
from machine import REPOSITORY
from made_links import one, profile
from proxied import LAN

from netem import Link, open_link
from netem.backends import ProxyBackend
from netem.goodput import tcp_goodput
from netem.namespaces import process_start
from netem.probes import LinkProber
from offload.errors import BackendError, ConfigError, VerifyError
from offload.link_profiles import get_profile


def test_says_what_it_is_and_what_it_leaves_out(proxy_link: Link) -> None:
    assert (proxy_link.backend, proxy_link.carries_packets) == ("proxy", False)
    assert "demonstrations" in proxy_link.reason
    assert len(proxy_link.limits) == 2
    proxy_link.apply(get_profile("congested"))
    assert proxy_link.limits[-1] == (
        "the loss of profile 'congested' is not applied: 2 % up, 2 % down"
    )
    assert any("no UDP" in line for line in proxy_link.limits)
    assert proxy_link.profile is get_profile("congested")


def test_what_would_pass_it_by_is_refused(proxy_link: Link) -> None:
    with pytest.raises(BackendError, match="UDP would pass by"):
        LinkProber(proxy_link.edge.address, 47400, endpoint=proxy_link.device)
    with pytest.raises(BackendError, match="would pass by"):
        tcp_goodput(proxy_link.device, proxy_link.edge, seconds=0.1, start_up_s=0.0)


def test_it_listens_on_the_loopback_alone(proxy_link: Link) -> None:
    _, port = proxy_link.reach(9)
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("no /proc/net/tcp here to read listeners from")
    local = [line.split()[1] for line in table.read_text().splitlines()[1:]]
    assert [one for one in local if int(one.rpartition(":")[2], 16) == port] == [
        f"0100007F:{port:04X}"
    ]
    assert not any(
        int(line.split()[1].rpartition(":")[2], 16) == port
        for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]
    )


def test_ends_run_programs_and_closing_ends_them() -> None:
    link = open_link(LAN, "proxy")
    router = link._router
    sleeper = link.device.popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert link.edge.call(os.getpid) == os.getpid()
    link.device.enter()
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        link.edge.popen(["no-such-program"])
    proxy = router._process.pid  # type: ignore[attr-defined]
    link.close()
    link.close()
    assert sleeper.wait(timeout=5) == -15
    assert process_start(proxy) is None
    calls: list[Callable[[], object]] = [
        link.stats,
        link.device.enter,
        lambda: link.reach(80),
        lambda: link.apply(LAN),
        lambda: link.edge.popen(["true"]),
    ]
    for call in calls:
        with pytest.raises(BackendError, match="closed"):
            call()


def test_mistakes_are_named(proxy_link: Link) -> None:
    with pytest.raises(ConfigError, match="port is 70000"):
        proxy_link.reach(70000)
    with pytest.raises(ConfigError, match="at most 500"):
        proxy_link.apply(profile(one(2e9), one()))
    assert proxy_link.profile is LAN
    with pytest.raises(ConfigError, match="takes no seed"):
        open_link(LAN, "proxy", seed=1)


def test_a_read_back_that_differs_is_found(
    proxy_link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ProxyBackend._ask
    wifi = get_profile("wifi")

    def tampered(self: ProxyBackend, order: object, expected: type) -> object:
        if hasattr(order, "uplink"):
            slower = dataclasses.replace(wifi.uplink, rate_bps=1e6)
            from netem.backends.proxy import _lane

            order = type(order)(_lane(slower), order.downlink)  # type: ignore[attr-defined, call-arg]
        return asked(self, order, expected)  # type: ignore[arg-type]

    monkeypatch.setattr(ProxyBackend, "_ask", tampered)
    with pytest.raises(VerifyError, match="'wifi' is not what was set"):
        proxy_link.apply(wifi)
    with pytest.raises(BackendError, match="unknown"):
        _ = proxy_link.profile


@pytest.mark.chaos
def test_a_dead_proxy_is_an_error_that_says_so() -> None:
    with open_link(LAN, "proxy") as link:
        process = link._router._process  # type: ignore[attr-defined]
        process.kill()
        process.wait()
        with pytest.raises(BackendError, match=r"the proxy is gone \(exit code -9"):
            link.apply(get_profile("lte"))


@pytest.mark.chaos
@pytest.mark.parametrize("forked", [False, True])
def test_the_proxy_dies_with_its_owner(forked: bool) -> None:
    """Also where a fork of the owner's lives on and holds the pipe open."""
    if forked and not hasattr(os, "fork"):
        pytest.skip("no fork here")
    program = (
        "import os, time\n"
        "from netem import open_link\n"
        "from offload.link_profiles import get_profile\n"
        "link = open_link(get_profile('wifi'), 'proxy')\n"
        f"child = os.fork() if {forked} else -1\n"
        "if child == 0: time.sleep(60)\n"
        "print(link._router._process.pid, child, flush=True)\n"
        "time.sleep(60)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    with owner.stdout as output:
        proxy, child = map(int, output.readline().split())
    try:
        assert process_start(proxy) is not None
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        deadline = time.monotonic() + 5
        while process_start(proxy) is not None:
            assert time.monotonic() < deadline, "the proxy outlived its owner"
            time.sleep(0.02)
    finally:
        if child > 0:
            os.kill(child, signal.SIGKILL)


def test_it_needs_no_module_that_only_some_systems_have() -> None:
    """As on a system without fcntl and its like: netem imports, and the proxy carries bytes."""
    program = (
        "import sys\n"
        "for name in ('fcntl', 'termios', 'resource', 'pwd', 'grp', 'tty', 'pty'):\n"
        "    sys.modules[name] = None\n"
        "import socket\n"
        "from netem import open_link\n"
        "from offload.link_profiles import get_profile\n"
        "with open_link(get_profile('wifi'), 'proxy') as link:\n"
        "    server = socket.create_server((link.edge.address, 0))\n"
        "    client = socket.create_connection(link.reach(server.getsockname()[1]))\n"
        "    far, _ = server.accept()\n"
        "    client.sendall(b'through')\n"
        "    print(far.recv(100).decode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "through\n", done.stderr


def test_an_ordinary_user_may_use_it() -> None:
    """And without a user namespace of its own: nothing in it needs one."""
    program = (
        "import os, socket, time\n"
        "from netem import open_link\n"
        "from offload.link_profiles import get_profile\n"
        "with open_link(get_profile('lte'), 'proxy') as link:\n"
        "    server = socket.create_server((link.edge.address, 0))\n"
        "    client = socket.create_connection(link.reach(server.getsockname()[1]))\n"
        "    far, _ = server.accept()\n"
        "    begin = time.monotonic()\n"
        "    client.sendall(b'through')\n"
        "    far.recv(100)\n"
        "    print(os.geteuid(), time.monotonic() - begin)\n"
    )
    done = ordinary_user.run(ordinary_user.python(), "-W", "ignore", "-c", program)
    assert done.returncode == 0, done.stderr
    uid, delay_s = done.stdout.split()
    assert int(uid) == ordinary_user.UID
    assert float(delay_s) > 0.004  # set: 20 ms, deviating by 4
