"""The worked example of docs/models-maui.md, against numbers worked out by hand."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from call_graphs import on_edge, photo_app

from offload.maui import (
    Status,
    default_time_bound_s,
    minimise_energy,
    minimise_latency,
    minimise_weighted,
)


def test_worked_example_energy():
    graph = photo_app()
    assert default_time_bound_s(graph) == pytest.approx(5.46)
    loose = minimise_energy(graph, default_time_bound_s(graph))
    assert on_edge(loose) == {"detect", "classify"}
    assert loose.status is Status.OPTIMAL
    assert (loose.seconds, loose.joules) == pytest.approx((4.8, 2.4))
    assert loose.saved_j == pytest.approx(7.8)  # 4 + 6 - 2 - 0.2, the seed's objective
    assert loose.objective == loose.joules
    tight = minimise_energy(graph, 4.5)
    assert on_edge(tight) == {"classify"}
    assert tight.saved_j == pytest.approx(2.8)  # 6 - 3 - 0.2


def test_worked_example_latency_and_weights():
    graph = photo_app()
    fastest = minimise_latency(graph)
    assert on_edge(fastest) == {"classify"}
    assert fastest.objective == pytest.approx(4.1)
    frugal = minimise_latency(graph, energy_bound_j=5.0)
    assert on_edge(frugal) == {"detect", "classify"}
    assert frugal.objective == pytest.approx(4.8)
    assert minimise_weighted(graph, 1, 1).objective == pytest.approx(7.2)
    assert minimise_weighted(graph, 1, 0.1).objective == pytest.approx(4.84)
    # The crossing point: 4.1 + 7.4 w = 4.8 + 2.4 w at w = 0.14.
    assert on_edge(minimise_weighted(graph, 1, 0.139)) == {"classify"}
    assert on_edge(minimise_weighted(graph, 1, 0.141)) == {"detect", "classify"}


def test_worked_example_group_with_a_pinned_member_stays_local():
    graph = replace(photo_app(), groups=(frozenset({"detect", "show"}),))
    assert on_edge(minimise_energy(graph)) == {"classify"}


def test_the_code_of_the_documentation_runs_and_gives_its_numbers(capsys):
    page = Path(__file__).parents[2] / "docs" / "models-maui.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    scope: dict = {}
    exec(compile(code, str(page), "exec"), scope)
    assert scope["graph"] == photo_app()
    assert scope["solution"].joules == pytest.approx(2.4)
    assert capsys.readouterr().out.startswith("optimal 2.4")


@pytest.mark.parametrize("bound", [4.0, 0.0, -1.0, -math.inf])
def test_infeasible_is_a_value_to_handle(bound):
    solution = minimise_energy(photo_app(), bound)
    assert solution.status is Status.INFEASIBLE
    assert dict(solution.placement) == {}
    assert (solution.objective, solution.saved_j) == (math.inf, -math.inf)
    assert minimise_latency(photo_app(), energy_bound_j=2.0).status is Status.INFEASIBLE


def test_a_bound_met_exactly_is_kept():
    graph = photo_app()
    cost = graph.evaluate({"camera": 0, "detect": 1, "classify": 1, "show": 0})
    assert minimise_energy(graph, cost.seconds).joules == cost.joules
    assert minimise_energy(graph, cost.seconds * (1 - 1e-11)).joules > cost.joules
