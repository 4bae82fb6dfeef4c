"""Setting and proving a profile, against a router that answers what the test says."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from test_qdisc_text import CONGESTED_UP, SHOWN

from netem.shaper import Shaper, parse_replies
from offload.errors import BackendError, ConfigError, VerifyError
from offload.types import LinkProfile

PROFILE = LinkProfile("both", CONGESTED_UP, CONGESTED_UP, "lte", "test")


class Router:
    """Plays the router's tc: keeps the lines, answers every show with ``reply``."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.reply: list[dict[str, Any]] = copy.deepcopy(SHOWN)

    def __call__(self, lines: list[str]) -> list[Any]:
        self.lines = lines
        return [self.reply for line in lines if line.startswith("qdisc show")]


def make() -> tuple[Router, Shaper]:
    router = Router()
    return router, Shaper(router, uplink_device="up0", downlink_device="down0")


def test_sets_both_directions_each_on_its_device() -> None:
    router, shaper = make()
    shaper.apply(PROFILE)
    sets = [line for line in router.lines if "netem" in line]
    assert [line.split()[3] for line in sets] == ["up0", "down0"]
    assert router.lines[-2:] == ["qdisc show dev up0", "qdisc show dev down0"]


def test_same_profile_again_only_reads_back() -> None:
    router, shaper = make()
    shaper.apply(PROFILE)
    shaper.apply(PROFILE)
    assert router.lines == ["qdisc show dev up0", "qdisc show dev down0"]


def test_other_reading_raises_and_next_apply_builds_anew() -> None:
    router, shaper = make()
    router.reply[0]["options"]["delay"]["delay"] = 0.5
    with pytest.raises(VerifyError, match=r"uplink netem delay_s: set 0.055, read back 0.5"):
        shaper.apply(PROFILE)
    router.reply = copy.deepcopy(SHOWN)
    shaper.apply(PROFILE)
    assert router.lines[0].startswith("qdisc replace dev up0 root handle 9: pfifo")


def test_impossible_profile_reaches_no_router() -> None:
    import dataclasses

    router, shaper = make()
    bad = dataclasses.replace(PROFILE, uplink=dataclasses.replace(CONGESTED_UP, loss_enter=2.0))
    with pytest.raises(ConfigError):
        shaper.apply(bad)
    assert router.lines == []


def test_replies_are_counted_and_complaints_raised() -> None:
    assert parse_replies('[{"kind":"netem"}]\n[]\n', 2) == [[{"kind": "netem"}], []]
    with pytest.raises(BackendError, match="Illegal"):
        parse_replies('Illegal "latency"\nCommand failed -:1\n[]\n', 1)
    with pytest.raises(BackendError, match="1 of 2"):
        parse_replies("[]\n", 2)
    with pytest.raises(BackendError, match="broken JSON"):
        parse_replies('[{"kind":\n', 1)
