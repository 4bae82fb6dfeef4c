"""Every backend of this machine in the suite's short form, and the suite's own arithmetic."""

from __future__ import annotations

import json
import math
import os
import random
import socket
import statistics
import time
from collections.abc import Iterator

import numpy as np
import pytest
from machine import left_behind, run_cli, slots_in_use

from netem import Link, open_link
from netem.backends import BACKENDS, Backend
from netem.baseline import BOUNDS, Baseline
from netem.conformance import QUICK, Check, Outcome, run, suite
from netem.conformance.check import within
from netem.conformance.flows import Flow, Record, exchange
from netem.conformance.leftovers import traces_of
from netem.conformance.losses import Chain, burst_lengths
from netem.conformance.rates import rate_lag_s
from netem.conformance.readback import offloads_on
from netem.conformance.settings import link_of, one_way
from netem.conformance.timing import deviation_s
from netem.namespaces import run_tool
from netem.streams import Arrivals
from offload.link_profiles import get_profile

pytestmark = pytest.mark.alone

PACKET_BACKENDS = [backend for backend in BACKENDS if backend.carries_packets]


def need(backend: type[Backend]) -> None:
    found = backend.probe()
    if not found.runs:
        pytest.skip(f"{backend.name} backend: {found.reason}")


@pytest.fixture(scope="module", params=PACKET_BACKENDS, ids=lambda backend: backend.name)
def opened(request: pytest.FixtureRequest) -> Iterator[Link]:
    need(request.param)
    before = slots_in_use()
    with open_link(get_profile("lan"), request.param.name) as link:
        yield link
    assert left_behind(before) == set()


@pytest.fixture
def packet_link(opened: Link) -> Link:
    """A link of each backend in turn, unshaped."""
    opened.apply(get_profile("lan"))
    return opened


@pytest.mark.slow
@pytest.mark.uml
@pytest.mark.timeout(300)
@pytest.mark.parametrize("backend", PACKET_BACKENDS, ids=lambda backend: backend.name)
def test_a_backend_does_what_it_is_set_to(backend: type[Backend]) -> None:
    need(backend)
    outcome = run(backend.name, QUICK, pause_s=2.0)
    missed = [check for check in outcome.checks if not check.passed]
    assert missed == []
    traits = {check.trait for check in outcome.checks}
    assert {"one-way delay, median", "TCP goodput", "left after SIGKILL"} <= traits
    if outcome.void:
        pytest.skip(f"this machine was too busy for: {'; '.join(outcome.void)}")
    # 12 traits, twice for the rate step, each direction; 3 settings and 3 endings concern both.
    assert len(outcome.checks) == 2 * 12 + 3 + 3
    assert len(outcome.baselines) == 9


@pytest.mark.uml
def test_more_than_netems_default_limit_is_under_way_at_once(packet_link: Link) -> None:
    """By default netem holds 1,000 packets and loses the rest, which throttles long fat links."""
    way = one_way(None, 0.5)
    packet_link.apply(link_of(way, way))
    flow = Flow(2000, 0.0002)  # all sent before the first arrives
    done = exchange(packet_link, flow, flow, longest_s=0.5)
    for record in (done.up, done.down):
        # Stalls of this machine may overflow a socket's buffer; the limit would lose a thousand.
        assert len(record.numbers) > 1900


@pytest.mark.uml
def test_a_packet_alone_is_not_left_lying(packet_link: Link) -> None:
    """A guest that misses the tap's signal would keep it until the next packet comes."""
    ends = (packet_link.device, packet_link.edge)
    with (
        ends[0].call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as device,
        ends[1].call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as edge,
    ):
        for end, opened in zip(ends, (device, edge), strict=True):
            opened.bind((end.address, 0))
            opened.settimeout(2.0)
        device.connect(edge.getsockname())
        edge.connect(device.getsockname())
        # Without the guest's waking 1 to 3 in 1,000 lay there, on a machine with other work.
        for number in range(2500):
            time.sleep(0.0005)
            for sender, receiver in ((device, edge), (edge, device)):
                sender.send(number.to_bytes(4, "big"))
                assert receiver.recv(100) == number.to_bytes(4, "big")


@pytest.mark.uml
def test_an_end_with_an_offload_on_is_found(packet_link: Link) -> None:
    assert offloads_on(packet_link.edge) == []
    inside = ["nsenter", f"--net={packet_link.edge.path}", "--"]
    run_tool([*inside, "ethtool", "-K", packet_link.edge.interface, "gro", "on"])
    assert offloads_on(packet_link.edge) == ["generic-receive-offload"]
    run_tool([*inside, "ethtool", "-K", packet_link.edge.interface, "gro", "off"])
    assert offloads_on(packet_link.edge) == []


@pytest.mark.uml
def test_the_sender_does_not_shape(packet_link: Link) -> None:
    """Only the router holds netem or TBF: a sender's own queue would hide loss from TCP."""
    packet_link.apply(link_of(one_way(1e6, 0.01), one_way(2e6, 0.02)))
    for end in (packet_link.device, packet_link.edge):
        inside = ["nsenter", f"--net={end.path}", "--"]
        shown = run_tool([*inside, "tc", "qdisc", "show"])
        assert "netem" not in shown
        assert "tbf" not in shown


def test_a_check_passes_within_its_bound_alone() -> None:
    check = Check("delay", "", "up", "ms", 20.0, 20.5, *within(20.0, absolute=1.0), samples=10)
    assert check.passed
    for measured in (18.9, 21.1, math.nan, math.inf):
        assert not Check("delay", "", "up", "ms", 20.0, measured, 19.0, 21.0, 10).passed
    assert within(200.0, relative=0.15) == (170.0, 230.0)


def normal_delays_s(sd_s: float) -> np.ndarray:
    """400 delays at the quantiles of a normal distribution."""
    normal = statistics.NormalDist(0.012, sd_s)
    return np.array([normal.inv_cdf((k + 0.5) / 400) for k in range(400)])


def test_a_stall_of_the_machine_is_no_jitter() -> None:
    delays_s = normal_delays_s(0.002)
    assert deviation_s(delays_s) == pytest.approx(0.002, rel=0.01)
    assert np.std(delays_s) == pytest.approx(0.002, rel=0.01)
    # Three packets, 8 ms apart, that all waited until a stall of 24 ms was over.
    delays_s[[100, 200, 300]] += [0.024, 0.016, 0.008]
    assert deviation_s(delays_s) == pytest.approx(0.002, rel=0.03)
    assert np.std(delays_s) > 1.2 * 0.002
    assert math.isnan(deviation_s(np.array([])))


def test_the_deviations_standard_error() -> None:
    """Simulated: 0.885/sqrt(n), which is 4.4 % over 400 packets."""
    draws = np.random.default_rng(3).normal(0.012, 0.002, (1000, 400))
    found = np.array([deviation_s(row) for row in draws]) / 0.002
    # 1,000 runs give their mean to 0.14 % and their spread to 2.2 %. Quantiles between samples
    # lie a little too far inside.
    assert np.mean(found) == pytest.approx(0.994, abs=0.007)
    assert np.std(found) == pytest.approx(0.885 / math.sqrt(400), rel=0.1)


class Quiet:
    """A link's counters, answered at once."""

    def stats(self) -> None:
        return None


@pytest.mark.parametrize(
    ("results", "counts", "said"),
    [
        ([True], True, 0),
        ([False, True], True, 1),
        ([False, False], False, 1),  # twice in a row: it is the backend
    ],
)
def test_a_group_fails_when_it_misses_twice(
    monkeypatch: pytest.MonkeyPatch, results: list[bool], counts: bool, said: int
) -> None:
    quiet = Baseline("uml", 200, 0.2e-3, 0.5e-3, 0.3e-3, 0.2, 0.0, 0.4, BOUNDS["uml"])
    monkeypatch.setattr(suite, "fit_baseline", lambda *_, **__: quiet)
    monkeypatch.setattr(suite, "measure_baseline", lambda link: quiet)
    outcome = Outcome("uml", "", ())
    measured = iter(results)

    def check() -> list[Check]:
        value = 20.0 if next(measured) else 23.0
        return [Check("delay", "", "up", "ms", 20.0, value, 19.0, 21.0, samples=10)]

    suite._run_group(Quiet(), "delay", check, outcome, 0.0)  # type: ignore[arg-type]
    assert [check.passed for check in outcome.checks] == [counts]
    assert len(outcome.repeated) == said
    assert next(measured, None) is None
    if said:
        assert outcome.repeated == ["delay: missed once: delay, up: 23 ms, bound 19 to 21"]


def test_bursts_are_runs_of_lost_packets() -> None:
    lost = np.array([True, False, False, True, True, True, False, True])
    assert burst_lengths(lost).tolist() == [1, 3, 1]
    assert burst_lengths(np.zeros(5, dtype=bool)).tolist() == []


def test_enough_packets_for_bounds_of_four_standard_errors() -> None:
    """Simulated: shares and bursts of so many packets spread by a quarter of their bound."""
    chain = Chain(0.05, 0.5)
    draws = random.Random(1)
    shares, bursts = [], []
    for _ in range(60):
        losing, lost = False, []
        for _ in range(chain.packets):
            losing = draws.random() >= chain.leave if losing else draws.random() < chain.enter
            lost.append(losing)
        shares.append(sum(lost) / len(lost) / chain.share)
        bursts.append(float(np.mean(burst_lengths(np.array(lost)))) / chain.burst)
    # 60 runs give their spread to 9 % (1/sqrt(2n)); 40 % more is 4.4 of those.
    assert np.mean(shares) == pytest.approx(1.0, abs=0.03)
    assert 0.6 * 0.15 / 4 < np.std(shares) < 1.4 * 0.15 / 4
    assert np.mean(bursts) == pytest.approx(1.0, abs=0.03)
    assert np.std(bursts) < 1.4 * 0.20 / 4


def test_a_record_tells_delay_loss_and_order() -> None:
    record = Record(22, [0, 1000, 2000, 3000], [0, 2, 1], [500, 2600, 2700])
    assert record.delays_s == pytest.approx([5e-7, 6e-7, 1.7e-6])
    assert record.lost.tolist() == [False, False, False, True]
    assert record.overtaken == 1
    assert Record(22).overtaken == 0


def test_the_lag_of_a_rate_change() -> None:
    # 30 ms at 1 Mbit/s, then 470 ms at 20: 30,000 + 9,400,000 bits.
    assert rate_lag_s(9_430_000, 0.5, 1e6, 20e6) == pytest.approx(0.03)
    assert rate_lag_s(0.03 * 20e6 + 0.47 * 1e6, 0.5, 20e6, 1e6) == pytest.approx(0.03)


def test_a_streams_bytes_by_a_moment() -> None:
    arrivals = Arrivals([10, 20, 30], [100, 250, 400])
    assert [arrivals.by(moment) for moment in (9, 10, 25, 99)] == [0, 100, 250, 400]


@pytest.mark.uml
def test_leftovers_are_found_while_they_are_there(packet_link: Link) -> None:
    sleeper = packet_link.edge.popen(["sleep", "30"])
    deadline = time.monotonic() + 5
    while not any(pid == sleeper.pid for pid, _ in traces_of(os.getpid()).processes):
        assert time.monotonic() < deadline
    left = traces_of(os.getpid()).left()
    slot = packet_link._layout.slot
    assert f"process {sleeper.pid}" in left
    assert f"/run/netns/offload{slot}-router" in left
    assert f"/run/offload-netem/link-{slot}" in left
    assert f"a mount of offload{slot}-edge" in left
    sleeper.kill()
    sleeper.wait()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_proxy_does_what_it_claims_and_the_command_says_so(tmp_path) -> None:
    file = tmp_path / "deep" / "proxy.json"
    done = run_cli("conform", "--backend", "proxy", "--quick", "--json", str(file), timeout_s=280)
    assert done.returncode in {0, 3}, done.stdout
    record = json.loads(file.read_text())
    assert record["command"] == "python -m netem conform --backend proxy --quick"
    if done.returncode == 3:
        pytest.skip(f"this machine was too busy: {record['void']}")
    assert all(check["passed"] for check in record["checks"])
    assert done.stdout.count("| pass ") == len(record["checks"]) == 14
    assert "not carried out" in done.stdout


def test_an_unknown_backend_is_one_line() -> None:
    done = run_cli("conform", "--backend", "tunn")
    assert done.returncode == 2
    assert "Did you mean 'tun'" in done.stderr
