"""The numbers a learned policy sees: one table, from a DecisionContext to values in [0, 1].

The scaling is fixed by physical bounds, so there are no running statistics to lose or to drift.
Quantities that span decades are scaled as ln(1 + x / knee) / ln(1 + high / knee), which is linear
below the knee, logarithmic above it, and 0 at 0; the others linearly from low to high. Values
beyond the bounds are clipped.

Three are predictions of the cost model for this very context: what each placement would cost if the
estimates were the truth, and how the two compare. They hand the policy what MAUI knows, so that it
only has to learn where to depart from it. The rest is what the device remembers of its link
(:mod:`offload.link_memory`) and how its last remote run went.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offload.cost_model import ChoiceCosts, choice_costs
from offload.elementwise import functions_for
from offload.types import NEVER_S, DecisionContext, FloatArray, LinkHistory, Objective, Quantity


@dataclass(frozen=True, slots=True)
class Feature:
    """One entry of the observation.

    Attributes:
        name: its name, as in the environment's table.
        unit: unit of the raw value.
        knee: below it the scale is linear, above it logarithmic; None: linear throughout.
        high: raw value that maps to 1.
        low: raw value that maps to 0; on the logarithmic scale always 0.
        read: takes the raw value from a context and the predicted costs.
    """

    name: str
    unit: str
    knee: float | None
    high: float
    read: Callable[[DecisionContext, ChoiceCosts], Quantity]
    low: float = 0.0


def _advantage(_: DecisionContext, predicted: ChoiceCosts) -> Quantity:
    """ln(local cost / edge cost): above 0 the edge is predicted to be better.

    Said apart from the two costs, since near the tie, where it matters, their logarithmic scale is
    too coarse to tell them apart.
    """
    local, edge = predicted.local_objective, predicted.edge_objective
    xp = functions_for(local, edge)
    return xp.log(xp.divide(local, edge))


def _remembered(name: str) -> Callable[[DecisionContext, ChoiceCosts], Quantity]:
    read = attrgetter(f"history.{name}")
    return lambda context, _: read(context)


REMEMBERED = tuple(field.name for field in fields(LinkHistory) if field.name != "probe_gap_s")
"""Entries of :class:`offload.types.LinkHistory` that are logarithms."""

FEATURES: tuple[Feature, ...] = (
    Feature("rtt", "s", 1e-3, 10.0, lambda c, _: c.link.rtt_s),
    Feature("jitter", "s", 1e-3, 10.0, lambda c, _: c.link.jitter_s),
    Feature("loss", "1", 1e-3, 1.0, lambda c, _: c.link.loss),
    Feature("uplink", "bit/s", 1e4, 1e9, lambda c, _: c.link.uplink_bps),
    Feature("downlink", "bit/s", 1e4, 1e9, lambda c, _: c.link.downlink_bps),
    Feature("estimate_age", "s", 0.1, 100.0, lambda c, _: c.link.age_s),
    Feature("local_seconds", "s", 1e-3, 100.0, lambda c, _: c.task.local_s),
    Feature("edge_seconds", "s", 1e-3, 100.0, lambda c, _: c.task.edge_s),
    Feature("input_bytes", "B", 1e2, 1e8, lambda c, _: c.task.input_bytes),
    Feature("output_bytes", "B", 1e2, 1e8, lambda c, _: c.task.output_bytes),
    Feature("deadline", "s", 1e-3, 1000.0, lambda c, _: c.task.deadline_s),
    Feature("local_queue", "s", 1e-2, 100.0, lambda c, _: c.device.queue_s),
    Feature("edge_queue", "s", 1e-2, 100.0, lambda c, _: c.edge.queue_s),
    Feature("edge_queue_age", "s", 0.1, 1000.0, lambda c, _: c.edge.age_s),
    Feature("battery", "1", None, 1.0, lambda c, _: c.device.battery),
    Feature("radio_tail_left", "s", 0.1, 100.0, lambda c, _: c.device.radio_tail_left_s),
    Feature("reference_seconds", "s", 1e-3, 1000.0, lambda c, _: c.reference_s),
    Feature("predicted_local_cost", "1", 0.1, 1000.0, lambda _, p: p.local_objective),
    Feature("predicted_edge_cost", "1", 0.1, 1000.0, lambda _, p: p.edge_objective),
    Feature("predicted_advantage", "1", None, 2.0, _advantage, low=-2.0),
    *(
        Feature(name, "ln", None, 3.0, _remembered(name), low=0.0 if "spread" in name else -3.0)
        for name in REMEMBERED
    ),
    Feature("probe_gap", "s", 0.1, 100.0, lambda c, _: c.history.probe_gap_s),
    Feature("run_upload", "ln", None, 3.0, lambda c, _: c.last_run.upload, low=-3.0),
    Feature("run_download", "ln", None, 3.0, lambda c, _: c.last_run.download, low=-3.0),
    Feature("run_age", "s", 0.1, NEVER_S, lambda c, _: c.last_run.age_s),
)
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
N_FEATURES = len(FEATURES)

_LINEAR = np.array([f.knee is None for f in FEATURES])
_INVERSE_KNEE = np.array([1.0 / (f.knee or 1.0) for f in FEATURES])
_GAIN = np.array(
    [1.0 / np.log1p(f.high / f.knee) if f.knee else 1.0 / (f.high - f.low) for f in FEATURES]
)
_LINEAR_COLUMNS = tuple(np.flatnonzero(_LINEAR))
_ONE_BY_ONE = tuple(
    (feature.read, feature.low, feature.knee is None, float(inverse_knee), float(gain))
    for feature, inverse_knee, gain in zip(FEATURES, _INVERSE_KNEE, _GAIN, strict=True)
)


def raw_features(context: DecisionContext, objective: Objective) -> FloatArray:
    """The features in their units.

    Args:
        context: one context, or a batch of n.
        objective: what the predicted costs are costs of.

    Returns:
        Shape (N_FEATURES,) for one context, (n, N_FEATURES) for a batch; float64.
    """
    return _raw(context, choice_costs(context, objective))


def _raw(context: DecisionContext, predicted: ChoiceCosts) -> FloatArray:
    raw = np.empty((*np.shape(predicted.edge_objective), N_FEATURES))
    for column, feature in enumerate(FEATURES):
        raw[..., column] = feature.read(context, predicted)
    return raw


def scale(raw: FloatArray) -> FloatArray:
    """Raw features to the observation: same shape, float32, in [0, 1]."""
    scaled = np.maximum(raw, 0.0)
    scaled *= _INVERSE_KNEE
    np.log1p(scaled, out=scaled)
    for column in _LINEAR_COLUMNS:
        scaled[..., column] = raw[..., column] - FEATURES[column].low
    scaled *= _GAIN
    np.maximum(scaled, 0.0, out=scaled)
    return np.minimum(scaled, 1.0, out=scaled).astype(np.float32)


class Scaling(NamedTuple):
    """The scale as arrays of shape (N_FEATURES,), for those who write it down elsewhere.

    Of ``x = max(raw - low, 0)`` the observation is ``x * gain`` where ``linear``, and otherwise
    ``ln(1 + x * inverse_knee) * gain``; at most 1 in either case.
    """

    low: FloatArray
    linear: NDArray[np.bool_]
    inverse_knee: FloatArray
    gain: FloatArray


def scaling() -> Scaling:
    """The scale that :func:`scale` applies."""
    low = np.array([feature.low for feature in FEATURES])
    return Scaling(low, _LINEAR.copy(), _INVERSE_KNEE.copy(), _GAIN.copy())


def unscale(observation: FloatArray) -> FloatArray:
    """The raw features of an observation, as far as float32 and the clipping kept them."""
    values = np.asarray(observation, dtype=np.float64) / _GAIN
    raw = np.expm1(values) / _INVERSE_KNEE
    for column in _LINEAR_COLUMNS:
        raw[..., column] = values[..., column] + FEATURES[column].low
    return raw


def encode(context: DecisionContext, objective: Objective) -> FloatArray:
    """The observation of a context (or a batch); arguments as :func:`raw_features`."""
    predicted = choice_costs(context, objective)
    if isinstance(predicted.edge_objective, float):  # one decision: what a device does
        return _encode_one(context, predicted)
    return scale(_raw(context, predicted))


def _encode_one(context: DecisionContext, predicted: ChoiceCosts) -> FloatArray:
    """:func:`scale` of :func:`raw_features` for one context, without a NumPy call a feature."""
    scaled = []
    for read, low, linear, inverse_knee, gain in _ONE_BY_ONE:
        value = read(context, predicted) - low
        if value < 0.0:
            value = 0.0
        if not linear:
            value = math.log1p(value * inverse_knee)
        value *= gain
        scaled.append(1.0 if value > 1.0 else value)
    return np.array(scaled, dtype=np.float32)
