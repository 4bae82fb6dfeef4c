"""Refits the simulator to a machine from its live runs.

What a few dozen tasks tell is little, so everything is drawn towards what is known already: a
task's own factor towards the machine's, its spread towards the table's, the transfers' towards 1.
"""

from __future__ import annotations

import datetime
import math
import shlex
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import theilslopes

from envs.calibration import SCHEMA, Calibration, ServerFit, TransferFit
from evidence.agreement.stored import StoredRun
from offload.cost_model import transfer
from offload.errors import ConfigError
from offload.tasks.profile_table import ProfileRow, ProfileTable
from offload.transfer_spread import PROBABILITIES, transfer_factor
from offload.types import FloatArray, LinkState, PairedRun
from testbed.calibration import weighted_median

LEAST_PAIRS = 10
OWN_SIGMA = 0.15
"""Standard deviation of how far a task's own factor is from the machine's, in ln(seconds)."""
LEAST_SPREAD = 0.05
TRANSFER_PRIOR = 10
"""The transfers' factors of 1 count as so many transfers, the spread's of 1 too."""
LEAST_TRANSFERS = 5
MOST_SPREAD = 3.0


@dataclass(frozen=True, slots=True)
class Told:
    """One pair, with all that the fit needs of it."""

    pair: PairedRun
    set_link: LinkState
    congestion_control: str


def told_by(runs: Sequence[StoredRun]) -> list[Told]:
    """All pairs of several runs.

    Raises:
        ConfigError: too few of them.
    """
    told = [
        Told(pair, link, run.congestion_control)
        for run in runs
        for pair, link in zip(run.pairs, run.set_links, strict=True)
    ]
    if len(told) < LEAST_PAIRS:
        raise ConfigError(
            f"{len(told)} measured tasks are too few to calibrate with; {LEAST_PAIRS} at least: "
            "name more runs, or measure more with evaluate.py --tasks N"
        )
    return told


def refit(told: Sequence[Told], table: ProfileTable, runs: Sequence[str]) -> Calibration:
    """Fit tasks, server and transfers.

    Args:
        table: to start from; what was not measured moves with the machine's factor.
        runs: names of the runs.

    Raises:
        ConfigError: a task that the table does not hold.
    """
    notes: list[str] = []
    transfers = {}
    for control in sorted({each.congestion_control for each in told}):
        mine = [each for each in told if each.congestion_control == control]
        transfers[control] = fit_transfers(mine, control, notes)
    return Calibration(
        schema=SCHEMA,
        table=fit_table(told, table),
        server=fit_server(told, notes),
        transfers=transfers,
        runs=tuple(runs),
        pairs=len(told),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=shlex.join([Path(sys.executable).name, *sys.argv]),
        notes=tuple(notes),
    )


def fit_table(told: Sequence[Told], table: ProfileTable) -> ProfileTable:
    """The table with this machine's seconds and spreads."""
    known = {(row.kind, row.size): row for row in table.rows}
    local: dict[tuple[str, str], list[float]] = defaultdict(list)
    edge: dict[tuple[str, str], list[float]] = defaultdict(list)
    for each in told:
        key = (each.pair.task.kind, each.pair.task.size)
        if key not in known:
            raise ConfigError(
                f"the profile table holds no {key[0]}/{key[1]}, which was measured; "
                "measure it: python -m offload.tasks.profile"
            )
        row = known[key]
        local[key].append(math.log(float(each.pair.local.compute_s) / row.local_s))
        if each.pair.edge is not None and each.pair.edge.compute_s > 0.0:
            edge[key].append(math.log(float(each.pair.edge.compute_s) / row.edge_s))
    machine_local, machine_edge = (_machine(side, known) for side in (local, edge))
    rows = []
    for row in table.rows:
        key = (row.kind, row.size)
        local_log, local_spread = _own(local[key], machine_local, row.local_spread, row.samples)
        edge_log, edge_spread = _own(edge[key], machine_edge, row.edge_spread, row.samples)
        rows.append(
            replace(
                row,
                local_s=row.local_s * math.exp(local_log),
                edge_s=row.edge_s * math.exp(edge_log),
                local_spread=local_spread,
                edge_spread=edge_spread,
                samples=row.samples + len(local[key]),
            )
        )
    return replace(
        table,
        rows=tuple(rows),
        method=f"{table.method}; calibrated with {len(told)} tasks of live runs",
    )


def _machine(
    logs: dict[tuple[str, str], list[float]], known: dict[tuple[str, str], ProfileRow]
) -> float:
    """How this machine compares with the table's, in ln(seconds): 0 where nothing is known."""
    values = [
        (value, 1.0 / ((known[key].local_spread + known[key].edge_spread) ** 2 / 4 + OWN_SIGMA**2))
        for key, found in logs.items()
        for value in found
    ]
    return weighted_median(values) if values else 0.0


def _own(logs: Sequence[float], machine: float, spread: float, samples: int) -> tuple[float, float]:
    """A task's factor in ln(seconds), and its spread; both drawn towards what is known."""
    n = len(logs)
    if n == 0:
        return machine, spread
    noise = max(spread, LEAST_SPREAD) ** 2
    weight = n * OWN_SIGMA**2 / (n * OWN_SIGMA**2 + noise)
    factor = machine + weight * (float(np.mean(logs)) - machine)
    squares = samples * spread**2 + float(np.sum((np.asarray(logs) - factor) ** 2))
    return factor, math.sqrt(squares / (samples + n))


def fit_server(told: Sequence[Told], notes: list[str]) -> ServerFit:
    """A robust line (Theil and Sen) through the server's own time over the bytes of a run."""
    back = [each.pair for each in told if each.pair.edge is not None]
    if len(back) < LEAST_TRANSFERS:
        notes.append(f"server: {len(back)} remote runs came back, too few to fit its own time")
        return ServerFit()
    n_bytes = np.array([p.predicted.input_bytes + p.predicted.output_bytes for p in back])
    own_s = np.array(
        [p.edge.queue_s - p.edge_seen.queue_s for p in back if p.edge is not None], float
    )
    if np.ptp(n_bytes) == 0.0:
        return ServerFit(max(float(np.median(own_s)), 0.0), 0.0)
    slope = max(float(theilslopes(own_s, n_bytes).slope), 0.0)
    return ServerFit(max(float(np.median(own_s - slope * n_bytes)), 0.0), slope)


def fit_transfers(told: Sequence[Told], control: str, notes: list[str]) -> TransferFit:
    """Factors and spread of the transfers of one congestion control."""
    ups, downs, expected = transfer_logs(told, control)
    if len(ups) < LEAST_TRANSFERS:
        notes.append(f"transfers, {control}: {len(ups)} came back, too few to fit")
        return TransferFit()
    factors = [_shrunk(float(np.median(logs)), len(logs)) for logs in (ups, downs)]
    off = np.concatenate([ups - factors[0], downs - factors[1]])
    spread = 1.0
    if expected > 0.0:
        ratio = max(float(np.median(np.abs(off))) / expected, 1e-3)
        spread = min(math.exp(_shrunk(math.log(ratio), len(off))), MOST_SPREAD)
    return TransferFit(math.exp(factors[0]), math.exp(factors[1]), spread)


def _shrunk(value: float, n: int) -> float:
    return value * n / (n + TRANSFER_PRIOR)


def transfer_logs(told: Sequence[Told], control: str) -> tuple[FloatArray, FloatArray, float]:
    """ln(measured / predicted) of the uploads and downloads that came back, and what to expect.

    Returns:
        Uploads, downloads, and the median of |ln(factor)| that the simulator draws at their losses.
    """
    ups, downs, losses = [], [], []
    for each in told:
        edge = each.pair.edge
        if edge is None or min(edge.upload_s, edge.download_s) <= 0.0:
            continue
        moved = transfer(each.set_link, each.pair.predicted, control)
        ups.append(math.log(float(edge.upload_s) / float(moved.upload_s)))
        downs.append(math.log(float(edge.download_s) / float(moved.download_s)))
        losses.append(float(each.set_link.loss))
    if not losses:
        return np.array([]), np.array([]), 0.0
    shares = np.linspace(PROBABILITIES[0], PROBABILITIES[-1], 199)
    grid = np.tile(shares, (len(losses), 1))
    drawn = transfer_factor(grid, np.tile(np.array(losses)[:, None], (1, len(shares))), control)
    return np.array(ups), np.array(downs), float(np.median(np.abs(np.log(drawn))))
