"""Many single tasks at once, against the integer program and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from offload.call_graph import CallGraph
from offload.errors import ConfigError
from offload.maui import Status, minimise_latency, minimise_weighted, place_single_tasks


def test_single_tasks_equal_the_integer_program():
    rng = np.random.default_rng(27)
    count = 2000
    local_s, edge_s, transfer_s, local_j, edge_j, transfer_j = rng.exponential(1.0, (6, count))
    time_weight, energy_weight = rng.uniform(0, 1, (2, count))
    kind = rng.integers(0, 5, count)
    total_s = edge_s + transfer_s
    bound = np.select(
        [kind == 0, kind == 1, kind == 2, kind == 3],
        [np.inf, local_s, total_s, np.minimum(local_s, total_s) * 0.999],
        rng.exponential(1.0, count),
    )
    fast = place_single_tasks(
        local_s, total_s, local_j, edge_j + transfer_j, time_weight, energy_weight, bound
    )
    assert fast.dtype == np.int8
    assert fast.shape == (count,)
    infeasible = 0
    for i in range(count):
        graph = CallGraph.single_task(
            local_s=local_s[i], edge_s=edge_s[i], local_j=local_j[i], edge_j=edge_j[i],
            transfer_s=transfer_s[i], transfer_j=transfer_j[i],
        )  # fmt: skip
        exact = minimise_weighted(graph, time_weight[i], energy_weight[i], bound[i])
        if exact.status is Status.INFEASIBLE:
            infeasible += 1
            exact = minimise_latency(graph)  # the documented choice: the softest violation
        assert exact.placement["task"] == fast[i], i
    assert 200 < infeasible < 1000


@pytest.mark.parametrize(
    ("case", "bound", "side"),
    [
        ((1, 1, 1, 1), math.inf, 0),  # tie
        ((2, 1, 1, 1), math.inf, 1),
        ((2, 1, 1, 3), math.inf, 0),
        ((2, 1, 1, 3), 1.5, 1),  # local is cheaper but late
        ((1, 2, 9, 1), 1.5, 0),  # the edge is cheaper but late
        ((2, 3, 9, 1), 1.0, 0),  # both late: the less late
        ((3, 2, 1, 9), 1.0, 1),
        ((2, 2, 1, 9), 1.0, 0),  # both late by as much: ties go local
        ((1, math.inf, 1, 0), math.inf, 0),  # no edge in reach
        ((1, math.inf, 1, 0), 0.5, 0),
    ],
)
def test_single_task_by_hand(case, bound, side):
    placed = place_single_tasks(*case, time_weight=1, energy_weight=1, time_bound_s=bound)
    assert placed == side
    assert placed.shape == ()


def test_an_unreachable_edge_is_never_chosen_whatever_the_weight():
    assert place_single_tasks(1, math.inf, 5, 0, time_weight=0, energy_weight=1) == 0


def test_single_tasks_broadcast():
    placed = place_single_tasks(
        np.array([1.0, 3.0]), 2.0, 1.0, 1.0, 1.0, 0.0, np.array([[math.inf], [2.0], [2.5]])
    )
    assert placed.tolist() == [[0, 1], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_weight": -1}, "time_weight must be finite and not negative"),
        ({"time_weight": 0, "energy_weight": 0}, "both 0"),
        ({"edge_s": math.nan}, "edge_s holds nan"),
        ({"local_j": np.array([1.0, math.nan])}, "local_j holds nan"),
        ({"time_bound_s": math.nan}, "time_bound_s holds nan"),
    ],
)
def test_single_tasks_refuse_what_cannot_be(changes, message):
    arguments = {
        "local_s": 1, "edge_s": 1, "local_j": 1, "edge_j": 1, "time_weight": 1, "energy_weight": 1,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=message):
        place_single_tasks(**{**arguments, **changes})
