"""Sets a profile on a router and proves it: what every tc-speaking backend shares."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from netem import qdisc, qdisc_shown
from netem.link_stats import LinkStats
from offload.errors import BackendError, VerifyError
from offload.types import LinkProfile

RunTc = Callable[[list[str]], list[Any]]
"""Runs lines of ``tc -s -j -batch`` in the router; returns the JSON document of each ``show``."""


class Shaper:
    """Shapes both directions in the router, never at the sender.

    A sender's own qdisc would hide loss from TCP (small queues push back instead).

    Args:
        run_tc: how to talk to the router's tc.
        uplink_device: the router's device towards the edge.
        downlink_device: the router's device towards the device namespace.
    """

    def __init__(self, run_tc: RunTc, *, uplink_device: str, downlink_device: str) -> None:
        self._run_tc = run_tc
        self._devices = (uplink_device, downlink_device)
        self._applied: LinkProfile | None = None

    def apply(self, profile: LinkProfile) -> None:
        """Set ``profile``, read it back and compare.

        Raises:
            ConfigError: a value netem cannot do; nothing was changed.
            VerifyError: the router reads back something else.
            BackendError: the router refused or is gone.
        """
        directions = (profile.uplink, profile.downlink)
        for direction in directions:
            qdisc.check_direction(direction)
        old = self._applied
        olds = (None, None) if old is None else (old.uplink, old.downlink)
        lines: list[str] = []
        for device, new, before in zip(self._devices, directions, olds, strict=True):
            lines += qdisc.set_commands(device, new, before)
        # Unknown until proven: after any error the next apply builds both trees anew.
        self._applied = None
        shown = self._run_tc([*lines, *(f"qdisc show dev {device}" for device in self._devices)])
        wrong = [
            f"{name} {difference}"
            for name, new, reply in zip(("uplink", "downlink"), directions, shown, strict=True)
            for difference in qdisc_shown.differences(new, reply)
        ]
        if wrong:
            raise VerifyError(f"profile {profile.name!r} is not what was set: " + "; ".join(wrong))
        self._applied = profile

    def stats(self) -> LinkStats:
        """Counters of both directions, since their trees were last built anew."""
        shown = self._run_tc([f"qdisc show dev {device}" for device in self._devices])
        return LinkStats(qdisc_shown.counters(shown[0]), qdisc_shown.counters(shown[1]))


def parse_replies(text: str, expected: int) -> list[Any]:
    """The JSON documents in tc's output, one a line.

    Args:
        text: standard output and error of ``tc -j -force -batch``.
        expected: how many ``show`` lines were sent.

    Raises:
        BackendError: tc complained, or documents are missing.
    """
    documents: list[Any] = []
    complaints: list[str] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if line.startswith("["):
            try:
                documents.append(json.loads(line))
            except ValueError as error:
                raise BackendError(f"tc printed broken JSON ({error}): {line[:200]!r}") from error
        else:
            complaints.append(line)
    if complaints or len(documents) != expected:
        said = " | ".join(complaints) or f"{len(documents)} of {expected} replies"
        raise BackendError(f"the router's tc refused: {said}")
    return documents
