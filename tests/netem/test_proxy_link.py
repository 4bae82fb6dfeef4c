"""Backend proxy: real connections through the real process, against what was set."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import ordinary_user
import pytest
from conftest import REPOSITORY

from netem import Link, open_link
from netem.backends import ProxyBackend
from netem.goodput import tcp_goodput
from netem.namespaces import process_start
from netem.probes import LinkProber
from offload.errors import BackendError, ConfigError, VerifyError
from offload.link_profiles import get_profile
from offload.types import DirectionProfile, LinkProfile

Handler = Callable[[socket.socket], None]
HEADERS = 1514 / 1448
"""What a byte of payload costs on the wire."""


def one(rate_bps: float | None = None, delay_s: float = 0.0, **more: float) -> DirectionProfile:
    return dataclasses.replace(DirectionProfile(rate_bps, delay_s, 0.0, 0.0, 1.0, 0.1), **more)


def profile(uplink: DirectionProfile, downlink: DirectionProfile) -> LinkProfile:
    return LinkProfile("test", uplink, downlink, "wifi", "test")


LAN = profile(one(), one())


@pytest.fixture(scope="module")
def opened() -> Iterator[Link]:
    with open_link(LAN, "proxy") as link:
        yield link


@pytest.fixture
def link(opened: Link) -> Link:
    """The module's one link, unshaped."""
    opened.apply(LAN)
    return opened


@contextlib.contextmanager
def serving(link: Link, handle: Handler) -> Iterator[int]:
    """A server on the edge's side that hands every connection to ``handle``; yields its port."""
    with socket.create_server((link.edge.address, 0)) as listener:
        listener.settimeout(0.05)
        done = threading.Event()

        def accept() -> None:
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.settimeout(20)
                        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        handle(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            thread.join()


def connected(link: Link, port: int) -> socket.socket:
    connection = socket.create_connection(link.reach(port), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def echo(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            connection.sendall(data)


def round_trips_s(connection: socket.socket, count: int) -> list[float]:
    found = []
    for _ in range(count):
        begin = time.perf_counter()
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        found.append(time.perf_counter() - begin)
    return found


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def rate_bps(connection: socket.socket, seconds: float) -> float:
    """Payload that arrives in about that time, from the first bytes on."""
    connection.recv(1 << 16)
    begin = last = time.perf_counter()
    counted = 0
    while last < begin + seconds:
        counted += len(connection.recv(1 << 16))
        last = time.perf_counter()
    return 8 * counted / (last - begin)


def median_rate_bps(connection: socket.socket) -> float:
    """Of three windows: one of them may fall into a stall of this machine."""
    return sorted(rate_bps(connection, 0.5) for _ in range(3))[1]


def pour(connection: socket.socket) -> None:
    """Send until nobody takes it."""
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(bytes(65536))


def test_says_what_it_is_and_what_it_leaves_out(link: Link) -> None:
    assert (link.backend, link.carries_packets) == ("proxy", False)
    assert "demonstrations" in link.reason
    assert len(link.limits) == 2
    link.apply(get_profile("congested"))
    assert link.limits[-1] == ("the loss of profile 'congested' is not applied: 2 % up, 2 % down")
    assert any("no UDP" in line for line in link.limits)
    assert link.profile is get_profile("congested")


def test_delays_are_each_directions_own(link: Link) -> None:
    arrived: list[float] = []

    def note(connection: socket.socket) -> None:
        while connection.recv(1):
            arrived.append(time.perf_counter())
            connection.sendall(b"x")

    link.apply(profile(one(delay_s=0.030), one(delay_s=0.012)))
    with serving(link, note) as port, connected(link, port) as connection:
        up, down = [], []
        for _ in range(30):
            begin = time.perf_counter()
            connection.sendall(b"x")
            connection.recv(1)
            down.append(time.perf_counter() - arrived[-1])
            up.append(arrived[-1] - begin)
    assert min(up) >= 0.030
    assert min(down) >= 0.012
    # The emulator is no real-time system: what it adds is 0.3 ms where the machine is idle.
    assert statistics.median(up) <= 0.030 + 0.003
    assert statistics.median(down) <= 0.012 + 0.003


def test_jitter_has_the_standard_deviation_set(link: Link) -> None:
    link.apply(profile(one(delay_s=0.040, jitter_s=0.004), one(delay_s=0.020, jitter_s=0.003)))
    with serving(link, echo) as port, connected(link, port) as connection:
        found = sorted(round_trips_s(connection, 100))
    # sqrt(4^2 + 3^2) = 5 ms. The quartiles of a normal lie 1.349 deviations apart; their standard
    # error over 100 is 12 % of it. Unlike the deviation they do not mind a single stall.
    spread_s = (found[74] - found[24]) / 1.349
    assert found[50] == pytest.approx(0.060, abs=0.004)
    assert 0.0025 < spread_s < 0.0095


@pytest.mark.parametrize(("up_bps", "down_bps"), [(0.5e6, 2e6), (20e6, 8e6)])
def test_rates_are_each_directions_own(link: Link, up_bps: float, down_bps: float) -> None:
    uploads: list[float] = []

    def count(connection: socket.socket) -> None:
        uploads.append(median_rate_bps(connection))

    # A long queue, so that a sender that is kept from running leaves no gap.
    link.apply(profile(one(up_bps, 0.005, queue_s=1.0), one(down_bps, 0.005, queue_s=1.0)))
    with serving(link, pour) as port, connected(link, port) as connection:
        assert median_rate_bps(connection) == pytest.approx(down_bps / HEADERS, rel=0.06)
    with serving(link, count) as port, connected(link, port) as connection:
        pour(connection)
    assert uploads == [pytest.approx(up_bps / HEADERS, rel=0.06)]


def test_a_change_of_rate_takes_effect_at_once(link: Link) -> None:
    link.apply(profile(one(), one(2e6, 0.001, queue_s=2.0)))
    with serving(link, pour) as port, connected(link, port) as connection:
        assert rate_bps(connection, 0.5) == pytest.approx(2e6 / HEADERS, rel=0.1)
        assert link.stats().downlink.backlog_bytes > 100_000
        link.apply(profile(one(), one(20e6, 0.001, queue_s=2.0)))
        assert rate_bps(connection, 0.5) == pytest.approx(20e6 / HEADERS, rel=0.15)
        link.apply(profile(one(), one(2e6, 0.001, queue_s=2.0)))
        time.sleep(0.1)
        drained = connection.recv(1 << 22)  # what the kernel had taken before the change
        assert drained
        assert rate_bps(connection, 0.7) == pytest.approx(2e6 / HEADERS, rel=0.15)


def test_what_waits_is_bounded(link: Link) -> None:
    link.apply(profile(one(4e6, 0.005, queue_s=0.2), one()))
    with serving(link, echo) as port, connected(link, port) as filling:
        filling.setblocking(False)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                filling.send(bytes(65536))
            held = link.stats().uplink.backlog_bytes
            # 4 Mbit/s x 0.2 s, and what the delay holds, 4 Mbit/s x 5 ms.
            assert held <= 100_000 + 2_500 + 3_000
        assert held > 80_000


def test_large_transfers_arrive_whole_and_half_closed(link: Link) -> None:
    """The device ends its side first; the answer, a digest and the data again, still comes."""
    data = random.Random(1).randbytes(6_000_000)

    def answer(connection: socket.socket) -> None:
        received = read_all(connection)
        connection.sendall(hashlib.sha256(received).digest() + received[::-1])

    link.apply(profile(one(100e6, 0.003, jitter_s=0.001), one(80e6, 0.004)))
    before = link.stats().uplink.sent_bytes
    with serving(link, answer) as port, connected(link, port) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        back = read_all(connection)
    assert back[:32] == hashlib.sha256(data).digest()
    assert back[32:] == data[::-1]
    uplink = link.stats().uplink
    segments = len(data) / 1448
    assert uplink.sent_bytes - before == pytest.approx(len(data) + 66 * segments, rel=0.02)
    assert (uplink.sent_packets, uplink.lost_packets) == (0, 0)


def test_a_refused_connection_is_closed_after_a_round_trip(link: Link) -> None:
    with socket.create_server((link.edge.address, 0)) as listener:
        port = listener.getsockname()[1]
    link.apply(profile(one(delay_s=0.02), one(delay_s=0.03)))
    with connected(link, port) as connection:
        begin = time.perf_counter()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        assert 0.04 < time.perf_counter() - begin < 0.5


def test_a_server_that_dies_ends_the_connection_and_what_it_sent_arrives(link: Link) -> None:
    program = (
        "import socket, sys, time\n"
        "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
        "c, _ = s.accept(); c.sendall(b'last words'); time.sleep(60)\n"
    )
    link.apply(profile(one(delay_s=0.05), one(delay_s=0.05)))
    server = link.edge.popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout as output:
        port = int(output.readline())
    with connected(link, port) as connection:
        assert connection.recv(100) == b"last words"
        server.kill()
        server.wait()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_a_client_that_resets_resets_the_server(link: Link) -> None:
    seen: list[object] = []

    def watch(connection: socket.socket) -> None:
        try:
            seen.append(len(read_all(connection)))
        except ConnectionResetError as error:
            seen.append(error)

    with serving(link, watch) as port:
        connection = connected(link, port)
        connection.sendall(b"half a mess")
        time.sleep(0.1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        deadline = time.monotonic() + 5
        while not seen and time.monotonic() < deadline:
            time.sleep(0.01)
    assert isinstance(seen[0], ConnectionResetError)


def test_two_links_at_once_do_not_meet(link: Link) -> None:
    with (
        open_link(profile(one(delay_s=0.04), one(delay_s=0.04)), "proxy") as other,
        serving(link, echo) as port,
    ):
        before = link.stats().uplink.sent_bytes
        assert link.reach(port) != other.reach(port)
        assert link.reach(port) == link.reach(port)
        with connected(link, port) as connection:
            assert statistics.median(round_trips_s(connection, 20)) < 0.01
        with connected(other, port) as connection:
            assert min(round_trips_s(connection, 5)) >= 0.08
        assert other.stats().uplink.sent_bytes == 5 * 67
        assert link.stats().uplink.sent_bytes - before == 20 * 67


def test_what_would_pass_it_by_is_refused(link: Link) -> None:
    with pytest.raises(BackendError, match="UDP would pass by"):
        LinkProber(link.edge.address, 47400, endpoint=link.device)
    with pytest.raises(BackendError, match="would pass by"):
        tcp_goodput(link.device, link.edge, seconds=0.1, start_up_s=0.0)


def test_it_listens_on_the_loopback_alone(link: Link) -> None:
    _, port = link.reach(9)
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


def test_mistakes_are_named(link: Link) -> None:
    with pytest.raises(ConfigError, match="port is 70000"):
        link.reach(70000)
    with pytest.raises(ConfigError, match="at most 500"):
        link.apply(profile(one(2e9), one()))
    assert link.profile is LAN
    with pytest.raises(ConfigError, match="takes no seed"):
        open_link(LAN, "proxy", seed=1)


def test_a_read_back_that_differs_is_found(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
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
        link.apply(wifi)
    with pytest.raises(BackendError, match="unknown"):
        _ = link.profile


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
