"""What the models predict of each measured task, component by component.

Two links: as the emulator was told (``set``), and as the device had measured it when it decided
(``measured``). Two ideas of how hard the task is: by its kind and size alone, from the profile
table, which is all that a device knows (``table``); and as hard as that very task proved on the
device (``own``): to the simulator hardness is the task's, the same on both sides, and the seconds
at the edge are the table's times measured over expected seconds on the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from evidence.agreement.stored import StoredRun
from offload.cost_model import transfer
from offload.types import LinkState, PairedRun, PlacementCost

Component: TypeAlias = Literal["local", "upload", "queue", "compute", "download", "total"]
COMPONENTS: tuple[Component, ...] = ("local", "upload", "queue", "compute", "download", "total")
"""``local``: on the device; the others at the edge; ``total``: their sum."""
LinkAs: TypeAlias = Literal["set", "measured"]
HardAs: TypeAlias = Literal["table", "own"]
WAYS: tuple[tuple[LinkAs, HardAs], ...] = (
    ("set", "own"),
    ("set", "table"),
    ("measured", "table"),
)
"""Link and hardness of each prediction: the simulator's world, what a device would predict if it
knew its link, and what it does predict."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """One component of one pair, predicted in one way, and measured.

    Attributes:
        run: name of the run's folder.
        profile: the run's link.
        pair: number of the pair in its run, from 0.
        task: KIND/SIZE.
        link: which link the prediction rests on.
        hard: which hardness.
        given_up: the edge run was not back within its budget; its ``measured_s`` is then that
            budget, which it took at least.
    """

    run: str
    profile: str
    pair: int
    task: str
    component: Component
    link: LinkAs
    hard: HardAs
    predicted_s: float
    measured_s: float
    given_up: bool = False


def predict(run: StoredRun) -> list[Predicted]:
    """All predictions of a run.

    Of a pair whose edge run was given up there are ``local`` and ``total`` alone.
    """
    rows = []
    for number, (pair, set_link) in enumerate(zip(run.pairs, run.set_links, strict=True)):
        for link, hard in WAYS:
            state = set_link if link == "set" else pair.link
            cost = _edge_cost(pair, state, hard, run)
            for component, predicted_s, measured_s in _components(pair, cost, hard):
                rows.append(
                    Predicted(
                        run=run.name,
                        profile=run.profile,
                        pair=number,
                        task=f"{pair.task.kind}/{pair.task.size}",
                        component=component,
                        link=link,
                        hard=hard,
                        predicted_s=predicted_s,
                        measured_s=measured_s,
                        given_up=pair.edge is None and component != "local",
                    )
                )
    return rows


def _edge_cost(pair: PairedRun, link: LinkState, hard: HardAs, run: StoredRun) -> PlacementCost:
    moved = run.transfers.applied(transfer(link, pair.predicted, run.congestion_control))
    n_bytes = pair.predicted.input_bytes + pair.predicted.output_bytes
    hardness = 1.0
    if hard == "own":
        hardness = float(pair.local.compute_s) / float(pair.predicted.local_s)
    return PlacementCost(
        upload_s=float(moved.upload_s),
        queue_s=float(pair.edge_seen.queue_s + run.server.seconds(n_bytes)),
        compute_s=float(pair.predicted.edge_s) * hardness,
        download_s=float(moved.download_s),
        cpu_j=0.0,
        radio_j=0.0,
    )


def _components(
    pair: PairedRun, predicted: PlacementCost, hard: HardAs
) -> Iterator[tuple[Component, float, float]]:
    """Component, predicted and measured seconds."""
    if hard == "table":  # else it is what the hardness was taken from
        yield "local", float(pair.predicted.local_s), float(pair.local.compute_s)
    if pair.edge is None:
        yield "total", float(predicted.seconds), pair.budget_s
        return
    parts: Sequence[Component] = ("upload", "queue", "compute", "download")
    for part in parts:
        yield part, float(getattr(predicted, f"{part}_s")), float(getattr(pair.edge, f"{part}_s"))
    yield "total", float(predicted.seconds), float(pair.edge.seconds)
