"""Measured links, judged settings and fitted settings side by side, as plain numbers for JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from benchmarks.link_process_fit.fitting import (
    QUANTITIES,
    START,
    Yardstick,
    describe_all,
    fit_movement,
    fit_spread,
    quiet_loss,
    resampled,
)
from benchmarks.link_process_fit.panels import PING_RUN_S, Panels, measured, synthetic
from benchmarks.link_process_fit.statistics import (
    ROW_S,
    curves,
    describe_loss,
    log_ratios,
)
from envs.config import LinkProcessConfig
from offload.link_trace import LinkTrace
from offload.types import FloatArray

BOOTSTRAPS = 200
SETS = 40
"""Synthetic sets, each of as many links as were measured; their range shows what chance does."""
STAY_SHOWN = {"uplink": 0.1, "downlink": 0.1, "rtt": 1.5}
"""Ratio to the median whose stays beyond the plot shows."""
JUDGED = LinkProcessConfig(
    rate_spread=0.0,
    rate_sigma=0.5,
    rate_memory_s=15.0,
    rtt_spread=0.0,
    rtt_sigma=0.2,
    rtt_memory_s=5.0,
    rtt_fast_share=0.0,
    volatility_sigma=0.0,
    disturbance_every_s=60.0,
    disturbance_lasts_s=4.0,
    disturbance_rate_floor=0.01,
    disturbance_rtt_peak=6.0,
    disturbance_loss=0.2,
)
"""What was assumed before there was a fit, as near as these settings can say it."""
SPREADS = ("rate_spread", "rtt_spread")
FITTED = (*START, *SPREADS, "disturbance_loss")


def study(traces: Sequence[LinkTrace], seed: int) -> dict[str, Any]:
    """Fit the process to traces, and compare.

    Returns:
        ``settings`` fitted and ``judged``; ``statistics`` and ``curves`` of the measured links
        (with a 95 % bootstrap interval over links), of the judged settings, and of the fitted ones
        (with the range that 95 % of sets of as many links keep to); what is left of the
        differences, in standard errors.
    """
    panels = measured(traces)
    samples = resampled(np.random.default_rng(seed), panels, BOOTSTRAPS)
    yardstick = Yardstick.of(panels, samples, seed)
    movement = fit_movement(yardstick)
    fitted, base_loss = _rest_of_the_fit(traces, panels, movement, seed)

    def drawn(config: LinkProcessConfig) -> list[Panels]:
        rng = np.random.default_rng(seed + 1)
        return [synthetic(rng, config, panels, 1, base_loss) for _ in range(SETS)]

    sides = {"judged": drawn(JUDGED), "fitted": drawn(fitted)}
    return {
        "links": len(traces),
        "seconds": float(sum(trace.end_s for trace in traces)),
        "row_s": ROW_S,
        "ping_run_s": PING_RUN_S,
        "seed": seed,
        "left_over_standard_errors": {
            "judged": round(yardstick.left_over(JUDGED), 2),
            "fitted": round(yardstick.left_over(fitted), 2),
        },
        "loss_outside_disturbances": round(base_loss, 5),
        "settings": {name: asdict(fitted)[name] for name in FITTED},
        "judged": {name: asdict(JUDGED)[name] for name in FITTED},
        "statistics": _compare(describe_everything, panels, samples, sides),
        "curves": _compare(_all_curves, panels, samples, sides),
    }


def _rest_of_the_fit(
    traces: Sequence[LinkTrace], panels: Panels, movement: LinkProcessConfig, seed: int
) -> tuple[LinkProcessConfig, float]:
    """What the medians say of the spread between episodes, and the pings of loss."""
    drawn = synthetic(np.random.default_rng(seed + 2), movement, panels, SETS)
    radios = [trace.radio for trace in traces]

    def spread(*names: str) -> float:
        parts = [
            fit_spread(
                np.nanmedian(getattr(panels, name), axis=0),
                radios,
                np.nanmedian(getattr(drawn, name), axis=0),
            )
            for name in names
        ]
        return float(f"{np.sqrt(np.mean(np.square(parts))):.2g}")

    base_loss = quiet_loss(panels)
    mean_loss = float(panels.ping_loss.mean()) / 2.0
    lasts_s, every_s = movement.disturbance_lasts_s, movement.disturbance_every_s
    # Severity is even from 0 to 1, so its mean is half of the worst.
    worst = 2.0 * max(mean_loss - base_loss, 0.0) * (lasts_s + every_s) / lasts_s
    fitted = replace(
        movement,
        rate_spread=spread("uplink", "downlink"),
        rtt_spread=spread("rtt"),
        disturbance_loss=float(f"{worst:.2g}"),
    )
    return fitted, base_loss


def describe_everything(panels: Panels) -> dict[str, dict[str, float]]:
    """Statistics of each quantity by itself, of loss, and of quantities beside one another."""
    medians = {name: np.log(np.nanmedian(getattr(panels, name), axis=0)) for name in QUANTITIES}
    logs = {name: log_ratios(getattr(panels, name)) for name in QUANTITIES}
    pings = len(panels.rtt)
    return describe_all(panels) | {
        "ping loss": describe_loss(panels.ping_loss),
        "beside one another": {
            "uplink and downlink, within links": _within(logs["uplink"], logs["downlink"]),
            "downlink and RTT, within links": _within(logs["downlink"][:pings], logs["rtt"]),
            "uplink and downlink, medians": _correlation(medians["uplink"], medians["downlink"]),
            "downlink and RTT, medians": _correlation(medians["downlink"], medians["rtt"]),
            "uplink, sd of ln medians": float(np.std(medians["uplink"])),
            "downlink, sd of ln medians": float(np.std(medians["downlink"])),
            "RTT, sd of ln medians": float(np.std(medians["rtt"])),
        },
    }


def _all_curves(panels: Panels) -> dict[str, dict[str, list[float]]]:
    return {
        name: curves(getattr(panels, name), kind, STAY_SHOWN[name])
        for name, kind in QUANTITIES.items()
    }


def _correlation(one: FloatArray, other: FloatArray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def _within(one: FloatArray, other: FloatArray) -> float:
    """Correlation of two quantities, each about its link's mean, pooled over links."""
    one, other = one - np.nanmean(one, axis=0), other - np.nanmean(other, axis=0)
    return float(np.nansum(one * other) / np.sqrt(np.nansum(one**2) * np.nansum(other**2)))


def _compare(
    look: Callable[[Panels], dict[str, dict[str, Any]]],
    panels: Panels,
    samples: list[Panels],
    sides: dict[str, list[Panels]],
) -> dict[str, dict[str, dict[str, Any]]]:
    """The same looked up in the measured links, their bootstrap samples and the synthetic sets."""
    found = look(panels)
    bootstrapped = [look(sample) for sample in samples]
    drawn = {side: [look(one) for one in sets] for side, sets in sides.items()}
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for quantity, part in found.items():
        out[quantity] = {}
        for name, value in part.items():
            low, high = _range([one[quantity][name] for one in bootstrapped])
            fitted = [one[quantity][name] for one in drawn["fitted"]]
            fitted_low, fitted_high = _range(fitted)
            out[quantity][name] = {
                "measured": _plain(value),
                "low": low,
                "high": high,
                "judged": _plain(np.nanmean([o[quantity][name] for o in drawn["judged"]], axis=0)),
                "fitted": _plain(np.nanmean(fitted, axis=0)),
                "fitted_low": fitted_low,
                "fitted_high": fitted_high,
            }
    return out


def _range(values: list[Any]) -> tuple[Any, Any]:
    low, high = np.nanquantile(np.array(values), (0.025, 0.975), axis=0)
    return _plain(low), _plain(high)


def _plain(value: Any) -> Any:
    """Numbers as JSON holds them, to four decimals; NaN is null."""
    array = np.round(np.asarray(value, dtype=float), 4)
    if array.ndim:
        return array.tolist()
    return None if np.isnan(array) else float(array)
