"""Which backend runs, what is said about the others, and the claim on names and addresses."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import netem.link
from netem import layout, open_link
from netem.backends import BACKENDS, Capability, ProxyBackend, TcBackend, UmlBackend, base
from netem.backends.base import missing_tools
from netem.namespaces import call_in_namespace, namespace_path
from offload.errors import BackendError, ConfigError, UnknownNameError
from offload.link_profiles import get_profile


def test_order_prefers_the_kernel_itself() -> None:
    assert [backend.name for backend in BACKENDS] == ["tc", "uml", "tun", "proxy"]


def test_tc_probe_tells_the_truth() -> None:
    """Independently: can netem be set on lo of a fresh namespace?"""
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs root")
    tried = subprocess.run(
        ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"],
        capture_output=True,
        check=False,
    )
    found = TcBackend.probe()
    assert found.runs == (tried.returncode == 0)
    if not found.runs:
        assert "netem" in found.reason
        with pytest.raises(BackendError, match=r"tc' cannot run: kernel .* netem.*; to fix it: "):
            open_link(get_profile("wifi"), "tc")


def test_missing_tool_names_its_package() -> None:
    found = missing_tools({"no-such-tool-here": "the-package", "sh": "dash"})
    assert found == Capability(
        False, "not installed: no-such-tool-here", "apt-get install the-package"
    )


def test_a_try_that_hangs_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs root")
    monkeypatch.setattr(base, "_ATTEMPT_S", 0.2)
    found = base.try_in_scratch(["sleep", "30"])
    assert isinstance(found, Capability)
    assert not found.runs
    assert "did not end within 0.2 s" in found.reason
    done = base.try_in_scratch(["sh", "-c", "exit 3"])
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 3


def test_unknown_backend_suggests_the_right_one() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'uml'"):
        open_link(get_profile("wifi"), "ulm")


def test_auto_says_why_not_the_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = Capability(False, "no netem here", "modprobe sch_netem")
    monkeypatch.setattr(TcBackend, "probe", classmethod(lambda cls: refusal))
    monkeypatch.setattr(UmlBackend, "probe", classmethod(lambda cls: Capability(True, "found")))
    chosen, reason = netem.link.choose_backend("auto")
    assert chosen is UmlBackend
    assert reason == "uml: found; before it, tc cannot run: no netem here"


def test_no_backend_says_every_reason_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in BACKENDS:
        refusal = Capability(False, f"{backend.name} lacks it", f"install {backend.name}")
        monkeypatch.setattr(backend, "probe", classmethod(lambda cls, found=refusal: found))
    with pytest.raises(BackendError) as caught:
        open_link(get_profile("wifi"))
    for part in ("tc lacks it", "install tc", "uml lacks it", "install uml"):
        assert part in str(caught.value)


def test_only_who_needs_no_packets_gets_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in BACKENDS[:-1]:
        refusal = Capability(False, f"{backend.name} lacks it", f"install {backend.name}")
        monkeypatch.setattr(backend, "probe", classmethod(lambda cls, found=refusal: found))
    chosen, reason = netem.link.choose_backend("auto")
    assert chosen is ProxyBackend
    assert "demonstrations only" in reason
    assert "tun cannot run: tun lacks it" in reason
    with pytest.raises(BackendError, match="'proxy' carries no packets: ask for it by name"):
        netem.link.choose_backend("auto", need_packets=True)
    assert netem.link.choose_backend("proxy", need_packets=True)[0] is ProxyBackend


def test_impossible_profile_is_refused_before_anything_starts() -> None:
    import dataclasses

    wifi = get_profile("wifi")
    bad = dataclasses.replace(wifi, uplink=dataclasses.replace(wifi.uplink, delay_s=-1.0))
    with pytest.raises(ConfigError, match=r"delay_s is -1\.0"):
        open_link(bad)


def test_slots_share_no_name_and_no_address() -> None:
    some = [layout.layout_of(slot) for slot in (0, 1, 2, 255, 256, layout.SLOTS - 1)]
    names = [name for one in some for name in one.namespaces]
    assert len(set(names)) == 3 * len(some)
    wires = [wire for one in some for wire in (one.device, one.edge)]
    networks = [ipaddress.ip_network(f"{wire.endpoint.address}/30", strict=False) for wire in wires]
    for index, network in enumerate(networks):
        assert not any(network.overlaps(other) for other in networks[index + 1 :])
        assert ipaddress.ip_address(wires[index].router_address) in network
    macs = [mac for wire in wires for mac in (wire.endpoint_mac, wire.router_mac)]
    assert len(set(macs)) == len(macs)
    assert all(len(wire.endpoint.interface) <= 15 for wire in wires)


def test_dead_owners_slot_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("claims lie in /run, which needs root")
    monkeypatch.setattr(layout, "STATE_DIRECTORY", tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    owners = {
        4090: {"pid": ended.pid, "start": 1},  # gone
        4091: {"pid": os.getpid(), "start": 1},  # the pid lives, but as another process
        4092: {"pid": 1, "start": layout.process_start(1)[1]},  # type: ignore[index]
    }
    for slot, owner in owners.items():
        (tmp_path / f"link-{slot}").mkdir()
        (tmp_path / f"link-{slot}" / "owner.json").write_text(json.dumps(owner))
    (tmp_path / "link-4093").mkdir()  # died before it could write
    assert layout.clear_dead_links() == [4090, 4091, 4093]
    assert [path.name for path in tmp_path.iterdir()] == ["link-4092"]


def test_tc_wiring_carries_packets(leaves_nothing: set[int]) -> None:
    """The tc backend's namespaces and routes, unshaped, on any kernel with veth and TBF."""
    import socket

    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    claimed = layout.claim()
    try:
        backend = TcBackend(claimed)
        backend.start()
        edge, device = claimed.edge.endpoint, claimed.device.endpoint
        with (
            edge.call(socket.create_server, (edge.address, 0)) as server,
            device.call(socket.create_connection, server.getsockname()) as client,
        ):
            accepted, sender = server.accept()
            accepted.close()
            assert sender[0] == device.address
            assert client.getpeername()[0] == edge.address
        (shown,) = backend._run_tc(
            [
                "qdisc replace dev edge1 root handle 10: tbf rate 1mbit burst 3200 limit 6400",
                "qdisc show dev edge1",
            ]
        )
        assert (shown[0]["kind"], shown[0]["options"]["rate"]) == ("tbf", 125_000)
        saved = call_in_namespace(
            namespace_path(device.namespace),
            Path("/proc/sys/net/ipv4/tcp_no_metrics_save").read_text,
        )
        assert saved.strip() == "1"
        features = subprocess.run(
            ["nsenter", f"--net={edge.path}", "ethtool", "-k", edge.interface],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for feature in (
            "tcp-segmentation-offload",
            "generic-segmentation-offload",
            "generic-receive-offload",
        ):
            assert f"{feature}: off" in features
        backend.close()
    finally:
        layout.release(claimed)
