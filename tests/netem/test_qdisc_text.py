"""Qdisc commands, limits and read-back, against values worked out by hand."""

from __future__ import annotations

import copy
import dataclasses

import pytest

from netem import qdisc, qdisc_shown
from offload.errors import ConfigError
from offload.link_profiles import PROFILES, get_profile
from offload.types import DirectionProfile

CONGESTED_UP = get_profile("congested").uplink

# What a 6.1 kernel answered to `tc -s -j qdisc show` after CONGESTED_UP was set.
SHOWN = [
    {
        "kind": "netem",
        "handle": "1:",
        "root": True,
        "refcnt": 2,
        "options": {
            "limit": 10000,
            "delay": {"delay": 0.055, "jitter": 0.02, "correlation": 0},
            "loss-gemodel": {"p": 0.005, "r": 0.25, "1-h": 1, "1-k": 0},
            "rate": {"rate": 1250000000, "packetoverhead": 0, "cellsize": 0, "celloverhead": 0},
            "ecn": False,
            "gap": 0,
        },
        "bytes": 7846,
        "packets": 179,
        "drops": 5,
        "qlen": 3,
        "backlog": 318,
    },
    {
        "kind": "tbf",
        "handle": "10:",
        "parent": "1:1",
        "options": {"rate": 162500, "burst": 3199, "lat": 480308},
        "bytes": 7846,
        "packets": 179,
        "drops": 2,
        "qlen": 1,
        "backlog": 106,
    },
]


def direction(**changes: float | None) -> DirectionProfile:
    plain = DirectionProfile(1e8, 0.02, 0.0, 0.0, 1.0, 0.05)
    return dataclasses.replace(plain, **changes)


def test_every_netem_option_is_emitted() -> None:
    assert qdisc.netem_text(CONGESTED_UP) == (
        "netem limit 10000 delay 55000us 20000us distribution normal"
        " loss gemodel 0.5% 25% 100% 0%"
        " rate 10gbit duplicate 0% corrupt 0% reorder 0% gap 0 slot 0us 0us"
    )
    # 1.3 Mbit/s x 0.5 s / 8 = 81,250 bytes
    assert qdisc.tbf_text(CONGESTED_UP) == "tbf rate 1300000bit burst 3200 limit 81250"


def test_no_jitter_names_no_distribution() -> None:
    text = qdisc.netem_text(direction(delay_s=0.0015))
    assert "delay 1500us 0us loss" in text


@pytest.mark.parametrize(
    ("changes", "packets"),
    [
        # 200e6/8/1514 = 16,512.5 packets/s; held 1 + 4 x 0.25 + 0.1 = 2.1 s; twice: 69,352.7
        ({"rate_bps": 2e8, "delay_s": 1.0, "jitter_s": 0.25, "queue_s": 0.1}, 69_353),
        # 100e6/8/1514 x 2 x 0.07 = 1156, below the least
        ({}, 10_000),
        # unlimited counts as 10 Gbit/s: 825,627.5 x 2 x (0.02 + 0.05) = 115,587.8
        ({"rate_bps": None}, 115_588),
    ],
)
def test_netem_limit_holds_what_is_in_flight(changes: dict, packets: int) -> None:
    assert qdisc.netem_limit_packets(direction(**changes)) == packets


def test_queue_is_rate_times_queue_time_but_two_buckets_at_least() -> None:
    assert qdisc.tbf_limit_bytes(direction()) == 625_000  # 100e6 x 0.05 / 8
    assert qdisc.tbf_limit_bytes(direction(queue_s=0.0)) == 6_400


def test_unlimited_rate_has_no_tbf() -> None:
    lan = get_profile("lan").uplink
    assert qdisc.tbf_text(lan) is None
    assert not any("tbf" in line for line in qdisc.set_commands("d", lan, None))


def test_rate_change_touches_the_tbf_alone() -> None:
    old = direction()
    assert qdisc.set_commands("d", dataclasses.replace(old, rate_bps=5e7), old) == [
        "qdisc change dev d parent 1:1 handle 10: tbf rate 50000000bit burst 3200 limit 312500"
    ]
    assert qdisc.set_commands("d", old, old) == []


def test_delay_change_touches_netem_alone() -> None:
    old = direction()
    (line,) = qdisc.set_commands("d", dataclasses.replace(old, delay_s=0.03), old)
    assert line.startswith("qdisc change dev d root handle 1: netem limit 10000 delay 30000us 0us")


def test_a_tree_of_another_form_is_built_anew() -> None:
    lines = qdisc.set_commands("d", get_profile("lan").uplink, direction())
    assert [line.split(" handle")[0] for line in lines] == ["qdisc replace dev d root"] * 2


def test_true_reply_passes() -> None:
    assert qdisc_shown.differences(CONGESTED_UP, SHOWN) == []


@pytest.mark.parametrize(
    ("qdisc_index", "path", "value", "named"),
    [
        (0, ("limit",), 1000, "limit"),
        (0, ("delay", "delay"), 0.0551, "delay_s"),
        (0, ("delay", "jitter"), 0.0, "jitter_s"),
        (0, ("delay", "correlation"), 0.25, "correlation"),
        (0, ("loss-gemodel", "p"), 0.0051, "loss_enter"),
        (0, ("loss-gemodel", "r"), 0.5, "loss_leave"),
        (0, ("loss-gemodel", "1-h"), 0.5, "1-h"),
        (0, ("rate", "rate"), 162500, "order rate"),
        (0, ("ecn",), True, "ecn"),
        (0, ("gap",), 5, "gap"),
        (0, ("corrupt",), {"corrupt": 0.01}, "corrupt"),
        (0, ("slot",), {"min-delay": 1}, "slot"),
        (1, ("rate",), 162000, "tbf rate"),
        (1, ("burst",), 1600, "burst"),
        (1, ("lat",), 400000, "tbf limit"),
    ],
)
def test_tampered_reply_is_named(
    qdisc_index: int, path: tuple[str, ...], value: object, named: str
) -> None:
    shown = copy.deepcopy(SHOWN)
    options: dict = shown[qdisc_index]["options"]
    for key in path[:-1]:
        options = options[key]
    options[path[-1]] = value
    found = qdisc_shown.differences(CONGESTED_UP, shown)
    assert len(found) == 1
    assert named in found[0]


def test_missing_and_foreign_qdiscs_are_named() -> None:
    assert "tbf" in qdisc_shown.differences(CONGESTED_UP, SHOWN[:1])[0]
    assert "pfifo_fast" in qdisc_shown.differences(CONGESTED_UP, [{"kind": "pfifo_fast"}])[0]
    assert qdisc_shown.differences(get_profile("lan").uplink, SHOWN) != []


def test_counters_tell_loss_from_a_full_queue() -> None:
    found = qdisc_shown.counters(SHOWN)
    assert (found.sent_packets, found.sent_bytes) == (179, 7846)
    assert (found.lost_packets, found.queue_dropped_packets) == (3, 2)
    assert found.dropped_packets == 5
    assert (found.backlog_packets, found.backlog_bytes) == (3, 318)


@pytest.mark.parametrize(
    "changes",
    [
        {"delay_s": -0.001},
        {"delay_s": float("nan")},
        {"delay_s": 0.0, "jitter_s": 0.001},
        {"loss_enter": 1.5},
        {"loss_leave": -0.1},
        {"rate_bps": 0.0},
        {"rate_bps": 2e10},
    ],
)
def test_impossible_settings_are_refused(changes: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))[:4]):
        qdisc.check_direction(direction(**changes))


def test_every_named_profile_is_possible() -> None:
    for profile in PROFILES.values():
        qdisc.check_direction(profile.uplink)
        qdisc.check_direction(profile.downlink)
