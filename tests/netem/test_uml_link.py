"""Real netem in User-Mode Linux, measured against what was set."""

from __future__ import annotations

import multiprocessing
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
from entering import enter_and_connect
from machine import need_uml
from made_links import one, profile

from netem import Link, open_link
from netem.conformance.timing import deviation_s
from netem.goodput import available_congestion_control, tcp_goodput
from netem.measurement import loss_error
from netem.probes import UNKNOWN_RATE_BPS, LinkProber, ProbeResponder
from offload.errors import BackendError, ConfigError, VerifyError
from offload.link_profiles import get_profile

pytestmark = [pytest.mark.uml, pytest.mark.measured]


@pytest.fixture(scope="module")
def responder(uml_link: Link) -> Iterator[ProbeResponder]:
    with ProbeResponder(uml_link.edge.address, endpoint=uml_link.edge) as running:
        yield running


@pytest.fixture
def prober(uml_link: Link, responder: ProbeResponder) -> Iterator[LinkProber]:
    uml_link.apply(get_profile("lan"))
    with LinkProber(*responder.address, endpoint=uml_link.device) as made:
        yield made


def test_says_which_backend_and_why(uml_link: Link) -> None:
    assert uml_link.backend == "uml"
    assert "User-Mode Linux" in uml_link.reason


def test_unshaped_link_adds_little(uml_link: Link, prober: LinkProber) -> None:
    echoes = prober.echoes(50, 0.005)
    assert sorted(echoes.rtts_s)[25] < 0.002
    assert echoes.loss == 0.0


def test_rtt_is_the_sum_of_both_delays(uml_link: Link, prober: LinkProber) -> None:
    uml_link.apply(profile(one(delay_s=0.030), one(delay_s=0.012)))
    rtts_s = sorted(prober.echoes(40, 0.01).rtts_s)
    assert rtts_s[0] >= 0.0420
    assert rtts_s[20] <= 0.0420 + 0.001


def test_jitter_has_the_standard_deviation_set(uml_link: Link, prober: LinkProber) -> None:
    uml_link.apply(profile(one(delay_s=0.04, jitter_s=0.004), one(delay_s=0.02, jitter_s=0.003)))
    echoes = prober.echoes(150, 0.02)
    assert echoes.rtt_s == pytest.approx(0.060, abs=0.002)
    # sqrt(4^2 + 3^2) = 5 ms; the standard error over 150 samples is 7 %.
    assert deviation_s(np.array(echoes.rtts_s)) == pytest.approx(0.005, rel=0.25)


def test_loss_is_each_directions_own(uml_link: Link, prober: LinkProber) -> None:
    uml_link.apply(
        profile(one(loss_enter=0.05, loss_leave=0.45), one(loss_enter=0.005, loss_leave=0.495))
    )
    before = uml_link.stats()
    pings = 5000
    echoes = prober.echoes(pings, 0.0005)
    assert echoes.uplink_loss == pytest.approx(0.10, abs=4 * loss_error(0.05, 0.45, pings))
    assert echoes.downlink_loss == pytest.approx(0.01, abs=4 * loss_error(0.005, 0.495, pings))
    after = uml_link.stats()
    lost = after.uplink.lost_packets - before.uplink.lost_packets
    assert lost / pings == pytest.approx(echoes.uplink_loss, abs=0.005)
    assert after.uplink.queue_dropped_packets == before.uplink.queue_dropped_packets


def test_rates_are_each_directions_own(uml_link: Link, prober: LinkProber) -> None:
    uml_link.apply(profile(one(3e6, 0.005), one(24e6, 0.005)))
    state = prober.measure()
    assert state.uplink_bps == pytest.approx(3e6, rel=0.05)
    assert state.downlink_bps == pytest.approx(24e6, rel=0.05)
    stats = uml_link.stats()
    # The router's own count of bytes is the prober's: nothing else was on the link.
    assert stats.uplink.sent_bytes == prober.cost.uplink_bytes
    assert stats.downlink.sent_bytes == prober.cost.downlink_bytes


@pytest.mark.parametrize("name", ["wifi", "5g_mmwave", "congested", "edge_of_coverage"])
def test_prober_finds_what_a_profile_sets(
    uml_link: Link, responder: ProbeResponder, name: str
) -> None:
    wanted = get_profile(name)
    uml_link.apply(wanted)
    with LinkProber(*responder.address, endpoint=uml_link.device) as prober:
        states = []
        for _ in range(3):
            begin = time.monotonic()
            states.append(prober.measure())
            assert time.monotonic() - begin < 4.5
        rtt_s = wanted.uplink.delay_s + wanted.downlink.delay_s
        sigma_s = wanted.uplink.jitter_s + wanted.downlink.jitter_s
        assert prober.state().rtt_s == pytest.approx(rtt_s, abs=0.002 + sigma_s)
        for rate, measured in (
            (wanted.uplink.rate_bps, [state.uplink_bps for state in states]),
            (wanted.downlink.rate_bps, [state.downlink_bps for state in states]),
        ):
            # At the edge of coverage one measurement in twelve meets a burst of losses that ends
            # no train in its four seconds; it says so.
            known = sorted(found for found in measured if found > UNKNOWN_RATE_BPS)
            assert known[len(known) // 2] == pytest.approx(rate, rel=0.08)


def test_tcp_goodput_is_most_of_the_rate(uml_link: Link) -> None:
    rate_bps = 2e6  # others are in the conformance checks
    uml_link.apply(profile(one(rate_bps, 0.005), one(rate_bps, 0.005)))
    found = tcp_goodput(uml_link.device, uml_link.edge, seconds=1.5, start_up_s=0.5)
    # 1,448 payload bytes in a frame of 1,514: 95.6 % at best.
    assert 0.85 * rate_bps < found.goodput_bps < 0.97 * rate_bps
    assert found.congestion_control == available_congestion_control()


def test_a_change_takes_effect_at_once_and_keeps_the_queue(uml_link: Link) -> None:
    """netem's own rate would let a backlog leave at the old rate for seconds."""
    slow, fast = one(1e6, 0.001, queue_s=2.0), one(50e6, 0.001, queue_s=2.0)
    uml_link.apply(get_profile("lan"))  # a new tree, so no counts from before
    uml_link.apply(profile(slow, slow))
    with (
        uml_link.edge.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        uml_link.device.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind((uml_link.edge.address, 0))
        receiver.settimeout(1.0)
        for _ in range(100):  # 151,400 bytes: 1.2 s at the slow rate
            sender.sendto(bytes(1472), receiver.getsockname())
        time.sleep(0.1)
        waiting = uml_link.stats().uplink
        assert 50 < waiting.backlog_packets < 100
        begin = time.monotonic()
        uml_link.apply(profile(fast, slow))
        for _ in range(100):
            receiver.recv(2000)
        assert time.monotonic() - begin < 0.3
        assert uml_link.stats().uplink.sent_packets >= 100


def test_apply_passes_through_every_form(uml_link: Link) -> None:
    for name in ("wifi", "lan", "edge_of_coverage", "3g", "lan", "5g_mmwave", "congested"):
        uml_link.apply(get_profile(name))
        assert uml_link.profile is get_profile(name)


def test_foreign_change_is_found(uml_link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's tc in the router: the next read-back says so, and the one after is right."""
    uml_link.apply(get_profile("wifi"))
    router = uml_link._router
    router._run_tc(["qdisc change dev vec1 root handle 1: netem delay 7ms"])  # type: ignore[attr-defined]
    with pytest.raises(VerifyError, match="uplink netem delay_s"):
        uml_link.apply(get_profile("wifi"))
    with pytest.raises(BackendError, match="unknown"):
        _ = uml_link.profile
    uml_link.apply(get_profile("wifi"))


def test_router_refusal_is_an_error(uml_link: Link) -> None:
    with pytest.raises(BackendError, match="refused"):
        uml_link._router._run_tc(["qdisc add dev nosuch root pfifo"])  # type: ignore[attr-defined]
    uml_link.apply(get_profile("wifi"))


def test_more_than_the_emulator_carries_is_refused(uml_link: Link) -> None:
    uml_link.apply(get_profile("wifi"))
    with pytest.raises(ConfigError, match="at most 200"):
        uml_link.apply(profile(one(400e6), one(1e6)))
    assert uml_link.profile is get_profile("wifi")


def test_popen_runs_inside_and_dies_by_its_pid(uml_link: Link) -> None:
    process = uml_link.device.popen(
        ["ip", "-br", "address", "show", "device0"], stdout=subprocess.PIPE, text=True
    )
    output, _ = process.communicate(timeout=10)
    assert f"{uml_link.device.address}/30" in output
    sleeper = uml_link.edge.popen(["sleep", "60"])
    deadline = time.monotonic() + 5
    while _name_of(sleeper.pid) != "sleep" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _name_of(sleeper.pid) == "sleep"
    sleeper.terminate()
    assert sleeper.wait(timeout=5) == -15
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        uml_link.edge.popen(["no-such-program"])


def _name_of(pid: int) -> str:
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def test_enter_moves_a_child_process(uml_link: Link) -> None:
    uml_link.apply(get_profile("lan"))
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with uml_link.edge.call(socket.create_server, (uml_link.edge.address, 0)) as server:
        child = context.Process(
            target=enter_and_connect, args=(uml_link.device, server.getsockname(), answers)
        )
        child.start()
        assert answers.get(timeout=30) == uml_link.device.address
        child.join(timeout=10)
    assert child.exitcode == 0
    answers.close()


def test_two_links_at_once_do_not_meet(uml_link: Link, prober: LinkProber) -> None:
    need_uml()
    with open_link(get_profile("lte"), "uml") as other:
        assert other.edge.address != uml_link.edge.address
        with (
            ProbeResponder(other.edge.address, endpoint=other.edge) as responder,
            LinkProber(*responder.address, endpoint=other.device) as far,
        ):
            slow = far.echoes(20, 0.01)
            quick = prober.echoes(20, 0.01)
        assert slow.rtt_s == pytest.approx(0.040, abs=0.008)
        assert sorted(quick.rtts_s)[10] < 0.002
    assert prober.echoes(10, 0.01).loss == 0.0


def test_closed_link_refuses(leaves_nothing: set[int]) -> None:
    need_uml()
    link = open_link(get_profile("wifi"), "uml")
    sleeper = link.device.popen([sys.executable, "-c", "import time; time.sleep(60)"])
    link.close()
    link.close()
    assert sleeper.wait(timeout=5) == -15  # what ran in the namespace ends with it
    for call in (link.stats, link.device.enter, lambda: link.apply(get_profile("wifi"))):
        with pytest.raises(BackendError):
            call()
    with pytest.raises(BackendError):
        link.device.popen(["true"])
