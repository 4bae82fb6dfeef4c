"""The MAUI programs and bad input, and a solver that gives up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from call_graphs import photo_app, random_graph

from offload.errors import ConfigError, SolverError
from offload.maui import minimise_energy, minimise_weighted
from offload.partition_program import PartitionProgram


@pytest.mark.parametrize(
    ("weights", "bounds", "message"),
    [
        ((-1, 1), {}, "time_weight must be finite and not negative; it is -1"),
        ((1, math.nan), {}, "energy_weight must be finite"),
        ((0, 0), {}, "nothing is left to minimise"),
        ((1, 1), {"time_bound_s": math.nan}, "time_bound_s is nan"),
        ((1, 1), {"energy_bound_j": math.nan}, "energy_bound_j is nan"),
    ],
)
def test_bad_weights_and_bounds_are_refused(weights, bounds, message):
    with pytest.raises(ConfigError, match=message):
        minimise_weighted(photo_app(), *weights, **bounds)


def test_a_solver_that_stops_early_raises(monkeypatch):
    import offload.partition_program as partition_program

    real = partition_program.milp

    def stopped(*args, **kwargs):
        return real(*args, **{**kwargs, "options": {**kwargs["options"], "time_limit": 0.0}})

    monkeypatch.setattr(partition_program, "milp", stopped)
    rng = np.random.default_rng(26)
    graph = random_graph(rng, 40, lambda: rng.exponential(1.0))
    with pytest.raises(SolverError, match="HiGHS stopped with status 1"):
        minimise_energy(graph, 0.6 * graph.all_local().seconds)


def test_giving_up_raises_and_says_why(monkeypatch):
    import offload.partition_program as partition_program

    monkeypatch.setattr(partition_program, "_MAX_PROGRAMS", 0)
    program = PartitionProgram(photo_app(), np.array([0.0, 1.0]), np.array([5.0, np.inf]))
    with pytest.raises(SolverError, match="too close to the bound"):
        program.solve()
