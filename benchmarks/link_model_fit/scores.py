"""How far the model's seconds are from the measured ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.link_model_fit.transfers import Transfers
from offload.types import FloatArray

LOSS_CLASSES = ((0.0, 0.0, "no loss"), (0.0, 0.003, "to 0.3 %"), (0.003, 0.02, "0.3 to 2 %"),
                (0.02, 1.0, "2 % and more"))  # fmt: skip
SIZE_CLASSES = ((0, 3_000, "1 and 3 kB"), (3_000, 30_000, "10 and 30 kB"),
                (30_000, 300_000, "100 and 300 kB"), (300_000, 10**9, "1 and 5 MB"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Score:
    """Errors over some transfers.

    Attributes:
        count: transfers.
        median, p90: of abs(predicted / measured - 1).
        spread: standard deviation of ln(measured / predicted).
    """

    count: int
    median: float
    p90: float
    spread: float


def score(seconds: FloatArray, predicted_s: FloatArray) -> Score:
    """Compare predictions with measurements, both of shape (transfers,), at least one."""
    error = np.abs(predicted_s / seconds - 1.0)
    return Score(
        len(seconds),
        float(np.median(error)),
        float(np.quantile(error, 0.9)),
        float(np.std(np.log(seconds / predicted_s))),
    )


def classes(transfers: Transfers) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Names and masks of the classes that errors are reported by; each transfer is in several."""
    everything = np.ones(len(transfers), dtype=bool)
    yield "all", everything
    grid = np.char.startswith(transfers.link, "grid-")
    yield "named profiles", ~grid
    yield "grid", grid
    for control in ("cubic", "bbr"):
        mine = transfers.control == control
        yield control, mine
        for low, high, name in LOSS_CLASSES:
            above = transfers.loss >= 0.0 if high == 0.0 else transfers.loss > low
            yield f"{control}, {name}", mine & above & (transfers.loss <= high)
        for smallest, largest, name in SIZE_CLASSES:
            sized = (transfers.n_bytes > smallest) & (transfers.n_bytes <= largest)
            yield f"{control}, {name}", mine & sized


def tails(transfers: Transfers, predicted_s: FloatArray) -> Iterator[str]:
    """Lines on what single numbers hide: the upper tail, and connections that have just begun."""
    ratio = transfers.seconds / predicted_s
    low, high = np.quantile(np.log(ratio), (0.16, 0.84))
    yield (
        f"ln(measured / predicted): standard deviation {np.std(np.log(ratio)):.2f}, half of the"
        f" middle 68 % {(high - low) / 2:.2f}; {np.mean(ratio > 2):.1%} take over twice as long"
    )
    lossy = transfers.loss >= 0.02
    for name, mask in (("all", np.isfinite(ratio)), ("loss of 2 % and more", lossy)):
        total = transfers.seconds[mask].sum() / predicted_s[mask].sum()
        yield f"sum of measured / sum of predicted, {name}: {total:.2f}"
    steady = (transfers.n_bytes >= 100_000) & (transfers.loss < 0.003)
    for control in ("cubic", "bbr"):
        mine = steady & (transfers.control == control)
        for name, when in (("first", transfers.number == 0), ("fifth on", transfers.number > 3)):
            here = ratio[mine & when]
            if len(here):
                yield (
                    f"{control}, 100 kB and more, loss below 0.3 %, {name} of a connection:"
                    f" {np.mean(here > 2):.1%} of {len(here)} take over twice as long"
                )


def furthest(transfers: Transfers, predicted_s: FloatArray, count: int) -> Iterator[str]:
    """A line each for the transfers that the model is furthest from."""
    error = np.abs(np.log(predicted_s / transfers.seconds))
    for index in np.argsort(-error)[:count]:
        yield (
            f"{transfers.link[index]}, {transfers.control[index]},"
            f" {transfers.n_bytes[index]:,.0f} bytes at {transfers.rate_bps[index] / 1e6:g} Mbit/s:"
            f" {transfers.seconds[index]:.3f} s, predicted {predicted_s[index]:.3f}"
        )
