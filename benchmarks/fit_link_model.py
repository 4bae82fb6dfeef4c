"""Fit the link model to measured transfers and validate it on links the fit never saw.

    python benchmarks/fit_link_model.py                # fit, compare with the library, score, plot
    python benchmarks/fit_link_model.py --against old_link_model.py    # score another version too

The data come from ``python benchmarks/transfers.py``. Half of the links (by their names) is for the
fit, the other half for the scores.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.link_model_fit.scores import classes, furthest, score, tails
from benchmarks.link_model_fit.spread import quantiles
from benchmarks.link_model_fit.transfers import Transfers, load_transfers
from offload.errors import ConfigError, OffloadError
from offload.types import FloatArray

_ROOT = Path(__file__).resolve().parents[1]
MANY = 5


@dataclass(frozen=True)
class Config:
    """What to fit to, and where the plot goes."""

    data: Path = _ROOT / "docs" / "measured" / "transfers-uml.csv.gz"
    """Measured transfers."""
    plot: Path | None = None
    """PNG of predicted against measured seconds, and of the error by size."""
    against: Path | None = None
    """Python file of another ``link_model`` whose ``transfer_s`` is scored on the same data."""


def _others_prediction(path: Path, transfers: Transfers) -> FloatArray:
    spec = importlib.util.spec_from_file_location("other_link_model", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"--against {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up while it is being read
    spec.loader.exec_module(module)
    link = (transfers.n_bytes, transfers.rate_bps, transfers.rtt_s, transfers.loss)
    by_control = {name: module.transfer_s(*link, name) for name in module.CONGESTION_CONTROLS}
    return np.choose(transfers.control == "bbr", (by_control["cubic"], by_control["bbr"]))


def _table(title: str, transfers: Transfers, predictions: dict[str, FloatArray]) -> Table:
    """Scores by class, three columns a prediction."""
    table = Table(title=title)
    table.add_column("transfers", no_wrap=True)
    table.add_column("number", justify="right")
    for name in predictions:
        for column in ("median %", "p90 %", "spread"):
            table.add_column(f"{name}: {column}", justify="right")
    for label, mask in classes(transfers):
        if not mask.any():
            continue
        row = [label, str(int(mask.sum()))]
        for predicted_s in predictions.values():
            found = score(transfers.seconds[mask], predicted_s[mask])
            row += [f"{100 * found.median:.1f}", f"{100 * found.p90:.1f}", f"{found.spread:.2f}"]
        table.add_row(*row)
    return table


def run(config: Config) -> None:
    """Load, fit, score, plot."""
    from benchmarks.link_model_fit.fitting import fit, predict

    transfers, fates = load_transfers(config.data)
    console = Console(width=130)
    console.print(", ".join(f"{count} {fate}" for fate, count in fates.most_common()))
    mask = transfers.to_validate
    to_fit, to_validate = transfers.where(~mask), transfers.where(mask)
    for name, part in (("fit", to_fit), ("validation", to_validate)):
        links = len(np.unique(part.link))
        console.print(f"{name} half: {len(part)} transfers over {links} links")
    fitted = fit(to_fit)
    for control, constants in fitted.items():
        console.print(f"{control}: {constants}")
    apart = np.max(np.abs(predict(transfers, fitted) / predict(transfers) - 1.0))
    console.print(f"no prediction is further from the library's constants' than {apart:.1%}")
    repeated = to_validate.where(np.isfinite(to_validate.of_others()))
    many = to_validate.typical(at_least=MANY)
    for title, part, more in (
        ("validation half, single transfers", to_validate, {}),
        (
            "validation half, single transfers of repeated combinations;"
            " others: the median of the other repetitions",
            repeated,
            {"others": repeated.of_others()},
        ),
        ("validation half, median of each combination", to_validate.typical(), {}),
        (f"validation half, medians of {MANY} and more repetitions", many, {}),
        ("fit half, single transfers", to_fit, {}),
    ):
        if not len(part):
            continue
        predictions = {"model": predict(part), **more}
        if config.against is not None:
            predictions[config.against.stem] = _others_prediction(config.against, part)
        console.print(_table(title, part, predictions))
    console.print("[bold]all transfers, both halves")
    for line in tails(transfers, predict(transfers)):
        console.print(line)
    console.print("[bold]the same, as quantiles: the table of offload/transfer_spread.py")
    for control, rows in quantiles(transfers, predict(transfers)).items():
        for loss_class in rows:
            console.print(f"{control}: {', '.join(f'{value:.3f}' for value in loss_class)}")
    often = transfers.typical(at_least=MANY)
    console.print(f"[bold]furthest from the median of {MANY} and more repetitions, both halves")
    for line in furthest(often, predict(often), 8):
        console.print(line)
    if config.plot is not None:
        from benchmarks.link_model_fit.plot import draw

        draw(to_validate, predict(to_validate), config.plot)
        console.print(f"drawn: {config.plot}")


def main(config: Config) -> None:
    """Run, with errors as one line."""
    try:
        run(config)
    except OffloadError as error:
        raise SystemExit(f"fit_link_model: {error}") from error


if __name__ == "__main__":
    main(tyro.cli(Config))
