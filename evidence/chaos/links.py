"""Row: the link fails for a while, both ways or one; tasks are done here, then there again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from evidence.chaos.client import ClientOptions
from evidence.chaos.history import Submitted, read_history
from evidence.chaos.parts import Clients, Server
from evidence.chaos.rows import Bound, RowRun, at_least, at_most, told
from evidence.chaos.scene import Scene
from netem import Link, open_link
from offload.errors import ConfigError
from offload.link_profiles import get_profile
from offload.types import DirectionProfile, LinkProfile

_PROFILE = "lte"
_THREADS = 3
_PATIENCE_S = 90.0
_SETTLE_S = 1.0
_RESUME_S = 2.0
_DEADLINE_S = (0.6, 1.2)
_SLOWEST_BPS = 8.0
"""The least rate a link takes: less than a byte a second, where a backend has no loss."""


@dataclass(frozen=True, slots=True)
class LinkFault:
    """One way for a link to fail.

    Attributes:
        down_s, up_s: how long it carries nothing, and everything again, in turn.
        times: how often.
        uplink, downlink: which directions fail.
    """

    name: str
    down_s: float
    up_s: float = 0.0
    times: int = 1
    uplink: bool = True
    downlink: bool = True


SHORT = (
    LinkFault("blackout of 1 s", 1.0),
    LinkFault("blackout of 5 s", 5.0),
    LinkFault("flapping, 0.5 s down and up", 0.5, 0.5, 5),
    LinkFault("nothing to the edge, 3 s", 3.0, downlink=False),
    LinkFault("nothing from the edge, 3 s", 3.0, uplink=False),
)
FULL = (
    LinkFault("blackout of 1 s", 1.0),
    LinkFault("blackout of 5 s", 5.0),
    LinkFault("blackout of 30 s", 30.0),
    LinkFault("flapping, 0.5 s down and up", 0.5, 0.5, 20),
    LinkFault("flapping, 2 s down and up", 2.0, 2.0, 10),
    LinkFault("nothing to the edge, 30 s", 30.0, downlink=False),
    LinkFault("nothing from the edge, 30 s", 30.0, uplink=False),
)


def fail_link(run: RowRun) -> list[Bound]:
    """One fault after the other on one link, the same server and clients all the while.

    Each task has a deadline that a local run can keep, and has to end by it, whatever the link
    does. After each fault the clients have to be served by the edge again. The link is a packet
    network (``tc``, ``tun`` or ``uml``) where one can run, else the TCP proxy: the table says it.
    """
    faults = (SHORT if run.short else FULL)[: run.count]
    if len(faults) < run.count:
        raise ConfigError(f"there are {len(faults)} faults of a link, not {run.count}")
    profile = get_profile(_PROFILE)
    with open_link(profile) as link, Server(run.history, _settings(link), link.edge) as server:
        host, port = link.reach(server.port)
        options = ClientOptions(
            "device", port, host, _THREADS, run.seed,
            deadline_s=_DEADLINE_S, promised=True, padding=2000, gap_s=0.05,
        )  # fmt: skip
        with Scene(run.history) as scene, Clients(run.history, options, link.device):
            back_s = []
            for number, fault in enumerate(faults, 1):
                scene.wait_served(_THREADS, time.monotonic(), _PATIENCE_S)
                time.sleep(_SETTLE_S)
                back_s.append(_inject(run, link, profile, fault, scene))
                run.progress(number)
        backend = link.reason
    spans = list(_spans(run))
    return [
        told("link", backend),
        *(
            at_most(f"{fault.name}: offloading resumes after", _RESUME_S, seconds, " s")
            for fault, seconds in zip(faults, back_s, strict=True)
        ),
        at_least("tasks submitted while the link was down", 5 * len(faults), sum(spans)),
    ]


def _settings(link: Link) -> dict[str, object]:
    """The network is the link's own namespace, where nobody else is: no keys."""
    exposed = {"insecure_let_anybody_in": True} if link.carries_packets else {}
    return {"bind": link.edge.address, "workers": 2, **exposed}


def _inject(run: RowRun, link: Link, profile: LinkProfile, fault: LinkFault, scene: Scene) -> float:
    """Carry out one fault; seconds from its end until every client was served by the edge again."""
    broken = replace(
        profile,
        name=fault.name,
        uplink=_silent(profile.uplink, link) if fault.uplink else profile.uplink,
        downlink=_silent(profile.downlink, link) if fault.downlink else profile.downlink,
    )
    for number in range(fault.times):
        if number:
            time.sleep(fault.up_s)
        run.history.fault("link", fault.name)
        link.apply(broken)
        time.sleep(fault.down_s)
        link.apply(profile)
        healed_s = run.history.healed("link", fault.name)
    return scene.wait_served(_THREADS, healed_s, _PATIENCE_S) - healed_s


def _silent(direction: DirectionProfile, link: Link) -> DirectionProfile:
    """A direction that carries nothing."""
    if link.carries_packets:
        return replace(direction, loss_enter=1.0, loss_leave=0.0)
    return replace(direction, rate_bps=_SLOWEST_BPS)


def _spans(run: RowRun) -> Iterator[int]:
    """How many tasks were submitted in each span in which the link was down."""
    events = read_history(run.history.path)
    submitted_s = [event.t_s for event in events if isinstance(event, Submitted)]
    down_s = None
    for event in events:
        if getattr(event, "what", "") != "link":
            continue
        if down_s is None:
            down_s = event.t_s
        else:
            yield sum(down_s <= at_s < event.t_s for at_s in submitted_s)
            down_s = None
