"""The fit of the link model's constants."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import numpy as np
from scipy.optimize import least_squares

from benchmarks.link_model_fit.transfers import Transfers
from offload.link_model import CONGESTION_CONTROLS, FITTED, Constants, transfer_s
from offload.types import FloatArray

HARD_ERROR = 0.1
"""Errors of ln(seconds) above this count linearly: a lone timeout must not bend everything."""
FARTHEST = 3.0
"""No constant leaves its start by more than this in the logarithm: a factor of 20."""
STARTS = 8
_START = Constants(
    cubic=1.054,
    reno=1.22,
    growth_jitter=1.0,
    waiting=1.0,
    recovery_rtts=1.0,
)
"""Text-book values, or one: where every fit begins."""
_FREE = {
    "cubic": tuple(entry.name for entry in fields(Constants)),
    # It does not slow down for loss, and its growth shows only while it learns the rate.
    "bbr": ("growth_jitter", "waiting", "recovery_rtts"),
}


def fit(transfers: Transfers) -> dict[str, Constants]:
    """Constants that minimise the robust squared error of ln(seconds), rounded to 3 digits."""
    return {control: _fit_one(transfers, control) for control in CONGESTION_CONTROLS}


def _fit_one(transfers: Transfers, control: str) -> Constants:
    mine = transfers.where(transfers.control == control)
    names = _FREE[control]
    start = _START if "cubic" in names else replace(_START, cubic=0.0, reno=0.0)

    def constants(logs: FloatArray) -> Constants:
        values = (float(value) for value in np.exp(logs))
        return replace(start, **dict(zip(names, values, strict=True)))

    def errors(logs: FloatArray) -> FloatArray:
        predicted_s = predict(mine, {control: constants(logs)})
        return np.log(predicted_s / mine.seconds)

    begin = np.log([getattr(start, name) for name in names])
    lower, upper = begin - FARTHEST, begin + FARTHEST
    upper[names.index("waiting")] = 1e-9  # a share; above 1, less rate could be faster
    shifts = np.random.default_rng(0).uniform(-1.0, 1.0, (STARTS, len(begin)))
    found = min(
        (
            least_squares(
                errors,
                np.minimum(begin + shift, upper - 1e-9),
                bounds=(lower, upper),
                loss="soft_l1",
                f_scale=HARD_ERROR,
            )
            for shift in shifts
        ),
        key=lambda one: float(one.cost),
    )
    rounded = {name: float(f"{value:.3g}") for name, value in asdict(constants(found.x)).items()}
    return Constants(**rounded)


def predict(transfers: Transfers, constants: dict[str, Constants] | None = None) -> FloatArray:
    """Seconds of each transfer by the model, with these constants or the library's."""
    predicted_s = np.full(len(transfers), np.nan)
    for control, values in (constants or FITTED).items():
        mine = transfers.control == control
        predicted_s[mine] = transfer_s(
            transfers.n_bytes[mine],
            transfers.rate_bps[mine],
            transfers.rtt_s[mine],
            transfers.loss[mine],
            control,
            transfers.jitter_s[mine],
            constants=values,
        )
    return predicted_s
