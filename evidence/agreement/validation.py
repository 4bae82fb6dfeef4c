"""Whether a calibration helps: errors on pairs that it was not fitted to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from envs.calibration import Calibration, ServerFit, TransferFit
from evidence.agreement.errors import Errors, errors_of
from evidence.agreement.predictions import COMPONENTS, Component
from evidence.agreement.refit import Told, refit
from offload.cost_model import transfer
from offload.tasks.profile_table import ProfileRow, ProfileTable

FOLDS = 5
_SEED = 0


def cross_validate(
    told: Sequence[Told], table: ProfileTable, folds: int = FOLDS
) -> dict[Component, tuple[Errors, Errors]]:
    """Errors on held-out pairs, before and after a calibration with the others.

    Before: the table as it is, and the models as they are. Each pair is held out once; the link is
    taken as set.

    Returns:
        Before and after, by component; a component of which nothing was measured is not there.
    """
    folds = min(folds, len(told))
    order = np.random.default_rng(_SEED).permutation(len(told))
    before: dict[Component, list[tuple[float, float]]] = defaultdict(list)
    after: dict[Component, list[tuple[float, float]]] = defaultdict(list)
    for fold in range(folds):
        held = set(order[fold::folds].tolist())
        fitted = refit([each for i, each in enumerate(told) if i not in held], table, ())
        for i in sorted(held):
            for where, rows, fit in (
                (before, _rows(table), None),
                (after, _rows(fitted.table), fitted),
            ):
                for component, values in _compared(told[i], rows, fit).items():
                    where[component].append(values)
    return {
        component: (
            errors_of(*zip(*before[component], strict=True)),
            errors_of(*zip(*after[component], strict=True)),
        )
        for component in COMPONENTS
        if before[component]
    }


def _rows(table: ProfileTable) -> dict[tuple[str, str], ProfileRow]:
    return {(row.kind, row.size): row for row in table.rows}


def _compared(
    told: Told, rows: dict[tuple[str, str], ProfileRow], fit: Calibration | None
) -> dict[Component, tuple[float, float]]:
    """Predicted and measured seconds of a pair, by component."""
    pair = told.pair
    row = rows[pair.task.kind, pair.task.size]
    found: dict[Component, tuple[float, float]] = {
        "local": (row.local_s, float(pair.local.compute_s))
    }
    if pair.edge is None:
        return found
    own, server = TransferFit(), ServerFit()
    if fit is not None:
        own, server = fit.transfer_fit(told.congestion_control), fit.server
    moved = own.applied(transfer(told.set_link, pair.predicted, told.congestion_control))
    n_bytes = pair.predicted.input_bytes + pair.predicted.output_bytes
    parts: dict[Component, tuple[float, float]] = {
        "upload": (float(moved.upload_s), float(pair.edge.upload_s)),
        "queue": (
            float(pair.edge_seen.queue_s + server.seconds(n_bytes)),
            float(pair.edge.queue_s),
        ),
        "compute": (row.edge_s, float(pair.edge.compute_s)),
        "download": (float(moved.download_s), float(pair.edge.download_s)),
    }
    parts["total"] = (sum(p for p, _ in parts.values()), float(pair.edge.seconds))
    return found | {name: both for name, both in parts.items() if both[1] > 0.0}
