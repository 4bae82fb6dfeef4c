"""Which checks are run, in which order, and again where the machine was too busy for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from netem.baseline import PAUSE_S, Baseline, fit_baseline, measure_baseline, void_reason
from netem.conformance.check import Check
from netem.conformance.leftovers import check_endings
from netem.conformance.losses import Chain, check_loss
from netem.conformance.rates import check_goodput, check_long_fat, check_step
from netem.conformance.readback import check_read_back
from netem.conformance.timing import Pair, check_delay, check_jitter, check_order, check_queue
from netem.link import Link, open_link
from netem.stalls import StallWatch
from offload.errors import VoidRun
from offload.link_profiles import get_profile

TRIES = 5
STALL_BOUND_S = 0.03
"""A router silent for longer was starved; the longest bound of a check, 100 ms, is thrice that."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried. Seconds, bit/s.

    Attributes:
        goodput_s: length of each TCP measurement at the least, start-up left out.
        order_s: length of the flow whose order is looked at.
    """

    delays_s: tuple[Pair, ...]
    jitters_s: tuple[Pair, ...]
    losses: tuple[tuple[Chain, Chain], ...]
    order_s: float
    queues: tuple[tuple[Pair, Pair], ...]
    steps_bps: tuple[Pair, ...]
    goodputs_bps: tuple[Pair, ...]
    goodput_s: float
    long_fat_s: float | None


_MBPS = 1e6
QUICK = Plan(
    delays_s=(Pair(0.005, 0.02),),
    jitters_s=(Pair(0.002, 0.0015),),
    losses=((Chain(0.1, 0.5), Chain(0.08, 0.4)),),
    order_s=0.5,
    queues=((Pair(5 * _MBPS, 10 * _MBPS), Pair(0.15, 0.1)),),
    steps_bps=(Pair(1 * _MBPS, 20 * _MBPS), Pair(20 * _MBPS, 1 * _MBPS)),
    goodputs_bps=(Pair(10 * _MBPS, 50 * _MBPS),),
    goodput_s=1.0,
    long_fat_s=None,
)
"""Half a minute: what the tests run."""
FULL = Plan(
    delays_s=(Pair(0.001, 0.005), Pair(0.05, 0.02), Pair(0.1, 0.15)),
    jitters_s=(Pair(0.003, 0.002), Pair(0.01, 0.005)),
    losses=((Chain(0.05, 0.5), Chain(0.04, 0.4)), (Chain(0.02, 0.2), Chain(0.03, 0.3))),
    order_s=3.0,
    queues=(
        (Pair(5 * _MBPS, 10 * _MBPS), Pair(0.2, 0.1)),
        (Pair(50 * _MBPS, 1 * _MBPS), Pair(0.05, 0.5)),
    ),
    steps_bps=QUICK.steps_bps,
    goodputs_bps=tuple(
        Pair(up * _MBPS, down * _MBPS)
        for up, down in ((0.5, 2), (2, 0.5), (10, 50), (50, 10), (100, 200), (200, 100))
    ),
    goodput_s=4.0,
    long_fat_s=4.0,
)
"""Three minutes: what the table of docs/network.md is from."""


@dataclass(slots=True)
class Outcome:
    """What one backend was found to do.

    Attributes:
        backend: its name.
        reason: what the backend's probe said.
        limits: what the backend says it leaves out; those checks are not run.
        checks: of the groups that count, in order.
        baselines: of those groups, one each.
        repeated: why a group was run again, once for each time; and why a baseline was.
        void: why the groups do not count that the machine was too busy for every time.
    """

    backend: str
    reason: str
    limits: tuple[str, ...]
    checks: list[Check] = field(default_factory=list)
    baselines: list[Baseline] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    void: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether everything counted and every bound was kept."""
        return not self.void and all(check.passed for check in self.checks)


Group = tuple[str, Callable[[], list[Check]]]


def groups(link: Link, plan: Plan) -> Iterator[Group]:
    """Name and function of each group that this backend claims to pass; loss needs packets."""
    yield "read-back", partial(check_read_back, link)
    for delay in plan.delays_s:
        yield "delay", partial(check_delay, link, delay)
    for jitter in plan.jitters_s:
        yield "jitter", partial(check_jitter, link, jitter)
    if link.carries_packets:
        for up, down in plan.losses:
            yield "loss", partial(check_loss, link, up, down)
        yield "order", partial(check_order, link, 20 * _MBPS, plan.order_s)
        for rates, queues in plan.queues:
            yield "queue", partial(check_queue, link, rates, queues)
    for step in plan.steps_bps:
        yield "rate step", partial(check_step, link, step.up, step.down)
    for rates in plan.goodputs_bps:
        yield "goodput", partial(check_goodput, link, rates, plan.goodput_s)
    if plan.long_fat_s is not None and link.carries_packets:
        long_fat = partial(check_long_fat, link, 100 * _MBPS, 0.1, plan.long_fat_s)
        yield "long fat link", long_fat


def run(
    backend: str,
    plan: Plan,
    *,
    report: Callable[[str], None] = lambda text: None,
    pause_s: float = PAUSE_S,
) -> Outcome:
    """Open a link over ``backend``, check it, close it; then see what is left of three more.

    A group of checks that fails while the router was starved, or with a baseline out of bounds
    behind it, says nothing about the backend: it is run again, five times in all. One that fails
    on a quiet machine is run again as well, for its bounds are a few standard errors wide, and
    counts as failed if it fails twice; what it missed at first stands in ``repeated``.

    Args:
        report: told what is being checked.
        pause_s: time a busy machine is given before the next try.

    Raises:
        BackendError: the backend cannot run here, or died.
    """
    with open_link(get_profile("lan"), backend) as link:
        outcome = Outcome(link.backend, link.reason, link.limits)
        for name, check in groups(link, plan):
            report(name)
            _run_group(link, name, check, outcome, pause_s)
    report("what is left")
    outcome.checks += check_endings(outcome.backend)
    return outcome


def _run_group(
    link: Link, name: str, check: Callable[[], list[Check]], outcome: Outcome, pause_s: float
) -> None:
    why, has_failed = "", False
    for _ in range(TRIES):
        try:
            baseline = fit_baseline(link, outcome.repeated.append, pause_s=pause_s)
        except VoidRun as error:
            why = str(error)
            continue
        with StallWatch(link) as stalls:
            checks = check()
        missed = [one for one in checks if not one.passed]
        why = _starved(link, stalls) if missed else ""
        if not why and missed and not has_failed:
            why, has_failed = f"missed once: {'; '.join(map(str, missed))}", True
        if not why:
            outcome.checks += checks
            outcome.baselines.append(baseline)
            return
        outcome.repeated.append(f"{name}: {why}")
    outcome.void.append(f"{name}: {why}")


def _starved(link: Link, stalls: StallWatch) -> str:
    """Why a group that failed does not count; empty where it does."""
    if stalls.worst_s() > STALL_BOUND_S:
        return f"the router was silent for {1e3 * stalls.worst_s():.0f} ms"
    after = measure_baseline(link)
    return void_reason(after) if after.faults else ""
