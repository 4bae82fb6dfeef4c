"""What the report says in sentences and in its few large figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evidence.report.palette import OPTIMUM, family
from evidence.report.run_data import PolicyScore, Result


@dataclass(frozen=True, slots=True)
class Fact:
    """A large figure.

    Attributes:
        label: what it is.
        value: the figure.
        detail: what it is to be compared with.
    """

    label: str
    value: str
    detail: str


def cheapest(result: Result) -> str | None:
    """The policy of lowest cost that does not see the truth; None: there is no such policy."""
    blind = [name for name in result.policies if _blind(name)]
    return min(blind, key=lambda name: result.policies[name].cost[0], default=None)


def facts(result: Result) -> list[Fact]:
    """The run in four figures: those of its cheapest policy beside always-local's."""
    name = cheapest(result)
    if name is None:
        return []
    best = result.policies[name]
    local = result.policies.get("always-local")
    how = "measured" if result.live else "modelled"
    return [
        Fact(
            f"cost of {name}, the least",
            f"{best.cost[0]:.3f}",
            f"[{best.cost[1]:.3f}, {best.cost[2]:.3f}]; always-local is 1",
        ),
        Fact(
            f"agreement of {name} with the optimum",
            f"{100 * best.accuracy[0]:.1f} %",
            f"[{100 * best.accuracy[1]:.1f}, {100 * best.accuracy[2]:.1f}]",
        ),
        Fact(
            f"p95 latency of {name}, {how}",
            f"{best.latency_p95_s:.2f} s",
            _beside(local, lambda score: f"{score.latency_p95_s:.2f} s"),
        ),
        Fact(
            f"energy a task of {name}, {result.energy}",
            f"{best.energy_j:.2f} J",
            _beside(local, lambda score: f"{score.energy_j:.2f} J"),
        ),
    ]


def _beside(local: PolicyScore | None, read: Callable[[PolicyScore], str]) -> str:
    return "" if local is None else f"always-local {read(local)}"


def sentences(result: Result) -> list[str]:
    """What the table says, in words."""
    name = cheapest(result)
    if name is None:
        return []
    best = result.policies[name]
    said = [
        f"Of the policies that decide on what a device can know, {name} costs least: "
        f"{best.cost[0]:.3f} of what the device alone costs; it sends {100 * best.offloaded:.0f} % "
        f"of the tasks to the edge."
    ]
    same = [
        other
        for other, score in result.policies.items()
        if other != name and _blind(other) and score.cost == best.cost
    ]
    near = [
        other
        for other, score in result.policies.items()
        if other not in (name, *same) and _blind(other) and score.cost[1] <= best.cost[2]
    ]
    if same:
        said.append(f"The same cost: {', '.join(same)}.")
    if near:
        said.append(f"Its interval overlaps with those of {', '.join(near)}.")
    optimum = result.policies.get("maui-true")
    if optimum is not None:
        above, low, high = best.regret_maui_true
        said.append(
            f"maui-true, which sees the true state, costs {optimum.cost[0]:.3f}; the difference of "
            f"{name} to it is {above:+.3f} a task [{low:+.3f}, {high:+.3f}]."
        )
    return said


def _blind(policy: str) -> bool:
    return family(policy) is not OPTIMUM


def limits(result: Result) -> list[str]:
    """What the figures cannot say."""
    said = [
        "Energy is modelled from published radio and CPU powers, never measured.",
        "Accuracy is agreement with MAUI's optimum at the true state of the moment; that optimum "
        "does not look ahead.",
    ]
    if result.live:
        limit = result.details.get("device_cpu_limit")
        slowdown = limit.get("slowdown") if isinstance(limit, dict) else None
        slower = f", {slowdown:g} times slower" if isinstance(slowdown, int | float) else ""
        said += [
            f"The device is emulated: a process of the same machine under a CPU quota{slower}. "
            f"The link is emulated ({result.backend}); what it carries is real.",
            "The two runs of a task are not at the same moment: the link may have changed between.",
            f"{result.decisions} tasks: look at the intervals. They say nothing of another day or "
            "machine.",
        ]
    else:
        said.append(
            "Everything here is modelled: links, transfers and tasks are drawn from models fitted "
            "to measurements. A live run measures latency."
        )
    return said
