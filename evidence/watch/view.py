"""What the terminal shows: the link, the last tasks, the policies."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table

from agents.plain_table import plain_table
from evidence.watch.standing import ROLLING, Standing
from offload.types import LinkState, PairedRun, Placement

SHOWN_TASKS = 8
_PLACES = {Placement.LOCAL: "device", Placement.EDGE: "edge"}


def link_words(link: LinkState) -> str:
    """The link as the device has measured it, in a line."""
    return (
        f"up {link.uplink_bps / 1e6:.2f} Mbit/s, down {link.downlink_bps / 1e6:.2f} Mbit/s, "
        f"RTT {1e3 * link.rtt_s:.1f} ms ± {1e3 * link.jitter_s:.1f}, loss {link.loss:.1%}, "
        f"measured {link.age_s:.1f} s before"
    )


def pair_words(pair: PairedRun) -> str:
    """What a task took on both sides, in a line."""
    local_s = float(pair.local.seconds)
    if pair.edge is None:
        edge = f"edge given up after {pair.budget_s:.3f} s"
    else:
        edge = f"edge {float(pair.edge.seconds):.3f} s"
    return f"{pair.task.kind}/{pair.task.size}: device {local_s:.3f} s, {edge}"


def view(
    label: str, total: int, pairs: Sequence[PairedRun], standing: Sequence[Standing]
) -> RenderableType:
    """The whole picture after these pairs, at least one."""
    return Group(
        Panel(link_words(pairs[-1].link), title=f"{label}, task {len(pairs)} of {total}"),
        _tasks(pairs),
        _policies(standing, len(pairs)),
    )


def _tasks(pairs: Sequence[PairedRun]) -> Table:
    table = plain_table("the last tasks", None, "task", "device s", "edge s", "budget s", "quicker")
    for pair in reversed(pairs[-SHOWN_TASKS:]):
        edge_s = None if pair.edge is None else float(pair.edge.seconds)
        quicker = edge_s is not None and edge_s < float(pair.local.seconds)
        table.add_row(
            f"{pair.task.kind}/{pair.task.size}",
            f"{float(pair.local.seconds):.3f}",
            "given up" if edge_s is None else f"{edge_s:.3f}",
            f"{pair.budget_s:.3f}",
            _PLACES[Placement.EDGE if quicker else Placement.LOCAL],
        )
    return table


def _policies(standing: Sequence[Standing], tasks: int) -> Table:
    table = plain_table(
        f"the policies on the last {min(tasks, ROLLING)} tasks",
        None,
        "policy",
        *("this task", "right %", "late %", "edge %", "cost"),
    )
    for each in standing:
        table.add_row(
            each.name,
            _PLACES[each.choice] + (" ✓" if each.right else " ✗"),
            f"{100 * each.accuracy:.0f}",
            f"{100 * each.missed:.0f}",
            f"{100 * each.offloaded:.0f}",
            f"{each.cost:.3f}",
        )
    return table
