"""What a decision minimises: one number without a unit from seconds and joules.

    cost = w_t * seconds / reference seconds + w_e * joules / reference joules

The reference is the all-local cost of the same task, so always-local costs 1 by definition and
0.6 means 40 % less than running everything on the device.
"""

from __future__ import annotations

from offload.elementwise import functions_for
from offload.errors import UnknownNameError
from offload.types import Objective, Quantity

LOW_BATTERY = 0.3
"""Charge below which the mixed objective shifts from time to energy."""

_MIXED_ENERGY_WEIGHT = 0.5


def weights(objective: Objective, battery: Quantity) -> tuple[Quantity, Quantity]:
    """Weight of time and weight of energy; they add to 1.

    ``latency`` is (1, 0) and ``energy`` is (0, 1). ``mixed`` is half and half, and below
    :data:`LOW_BATTERY` the weight of energy rises linearly to 1 at an empty battery.

    Raises:
        UnknownNameError: another objective.
    """
    if objective == Objective.LATENCY:
        return 1.0 + 0.0 * battery, 0.0 * battery
    if objective == Objective.ENERGY:
        return 0.0 * battery, 1.0 + 0.0 * battery
    if objective != Objective.MIXED:
        raise UnknownNameError("objective", objective, Objective)
    shortage = functions_for(battery).maximum(1.0 - battery / LOW_BATTERY, 0.0)
    energy = _MIXED_ENERGY_WEIGHT + (1.0 - _MIXED_ENERGY_WEIGHT) * shortage
    return 1.0 - energy, energy


def prices(
    objective: Objective, battery: Quantity, reference_s: Quantity, reference_j: Quantity
) -> tuple[Quantity, Quantity]:
    """What a second and what a joule cost, in units of the task's all-local cost.

    The objective's cost of a run is its seconds at the first price plus its joules at the second.
    """
    time_weight, energy_weight = weights(objective, battery)
    xp = functions_for(battery, reference_s, reference_j)
    return xp.divide(time_weight, reference_s), xp.divide(energy_weight, reference_j)
