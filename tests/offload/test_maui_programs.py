"""The MAUI programs on random graphs, against brute force and a minimum cut."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from call_graphs import on_edge, random_graph

from offload.call_graph import Call, CallGraph, Method
from offload.maui import (
    SolvedBy,
    Status,
    minimise_energy,
    minimise_latency,
    minimise_weighted,
)

ROUNDING = 1e-12  # the tolerance at the bound that offload.maui documents


def _bound(rng: np.random.Generator, amounts: np.ndarray) -> float:
    """None, met exactly by some placement, missed by all, or somewhere in between."""
    choices = (
        math.inf,
        rng.choice(amounts),
        amounts.min() * (1 - 1e-9),
        rng.uniform(amounts.min(), np.quantile(amounts, 0.5)),
    )
    return float(choices[rng.integers(4)])


def _assert_equals_brute_force(
    graph: CallGraph, weights: tuple[float, float], time_bound_s: float, energy_bound_j: float
) -> Status:
    count = len(graph.methods)
    remote = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    seconds, joules = graph.costs(remote[graph.permits(remote)])
    objective = weights[0] * seconds + weights[1] * joules
    kept = np.ones(len(objective), dtype=bool)
    for amounts, bound in ((seconds, time_bound_s), (joules, energy_bound_j)):
        if math.isfinite(bound):
            kept &= amounts <= bound * (1 + ROUNDING)
    for by in (None, SolvedBy.INTEGER_PROGRAM):
        solution = minimise_weighted(graph, *weights, time_bound_s, energy_bound_j, by=by)
        if not kept.any():
            assert solution.status is Status.INFEASIBLE
            continue
        assert solution.status is Status.OPTIMAL
        assert solution.objective == pytest.approx(objective[kept].min(), rel=1e-12, abs=1e-300)
        assert graph.evaluate(solution.placement) == (solution.seconds, solution.joules)
    return solution.status


def _min_cut(graph: CallGraph, local, edge, transfer) -> float:
    """The least cost without a bound as a minimum s-t cut; source side: device."""
    network = nx.DiGraph()

    def add(u: str, v: str, capacity: float) -> None:
        before = network[u][v]["capacity"] if network.has_edge(u, v) else 0.0
        network.add_edge(u, v, capacity=before + capacity)

    network.add_nodes_from(("device", "server"))
    for method in graph.methods:
        add(method.name, "server", local(method))
        add("device", method.name, edge(method) if method.remoteable else math.inf)
    for call in graph.calls:
        add(call.caller, call.callee, transfer(call))
        add(call.callee, call.caller, transfer(call))
    for group in graph.groups:
        first, *others = sorted(group)
        for other in others:
            add(first, other, math.inf)
            add(other, first, math.inf)
    return nx.minimum_cut_value(network, "device", "server")


def test_both_programs_equal_brute_force_on_500_random_graphs():
    rng = np.random.default_rng(20)
    seen = {Status.OPTIMAL: 0, Status.INFEASIBLE: 0}
    for _ in range(500):
        graph = random_graph(rng, int(rng.integers(1, 13)), lambda: rng.uniform(0, 10))
        all_costs = graph.costs(rng.integers(0, 2, (50, len(graph.methods))))
        time_bound, energy_bound = (_bound(rng, amounts) for amounts in all_costs)
        for weights, bounds in (
            ((0, 1), (time_bound, math.inf)),
            ((1, 0), (math.inf, energy_bound)),
        ):
            seen[_assert_equals_brute_force(graph, weights, *bounds)] += 1
    assert min(seen.values()) > 100, seen


def test_weighted_with_both_bounds_equals_brute_force():
    rng = np.random.default_rng(21)
    for _ in range(100):
        graph = random_graph(rng, int(rng.integers(1, 11)), lambda: rng.uniform(0, 10))
        bounds = (
            _bound(rng, amounts)
            for amounts in graph.costs(rng.integers(0, 2, (20, len(graph.methods))))
        )
        _assert_equals_brute_force(graph, tuple(rng.uniform(0.01, 3, 2)), *bounds)


@pytest.mark.parametrize("spread", ["two scales", "every scale"])
def test_microseconds_and_hours_in_one_graph(spread):
    """HiGHS alone is too coarse here: its tolerance is milliseconds where an hour is in the row."""
    rng = np.random.default_rng(22)

    def amount() -> float:
        if spread == "every scale":
            return float(10 ** rng.uniform(-6, 3.6))
        return float(rng.uniform(0.5, 1) * (1e-6 if rng.random() < 0.6 else 3600))

    for _ in range(300):
        graph = random_graph(rng, int(rng.integers(2, 9)), amount)
        all_costs = graph.costs(rng.integers(0, 2, (20, len(graph.methods))))
        time_bound, energy_bound = (_bound(rng, amounts) for amounts in all_costs)
        _assert_equals_brute_force(graph, (0, 1), time_bound, math.inf)
        _assert_equals_brute_force(graph, (1, 0), math.inf, energy_bound)


def test_savings_too_small_for_the_solver_still_count():
    """HiGHS drops entries below 1e-9 of the largest; `a` alone saves enough, and costs least."""
    graph = CallGraph(
        (
            Method("a", 1.0, 2.0, 1.3e-6),
            Method("b", 1.0, 3.0, 0.9e-6),
            Method("c", 1.0, 4.0, 3.5e-6),
        ),
        (Call("b", "c", 0.0, 1526.0),),
    )
    solution = minimise_latency(graph, energy_bound_j=graph.all_local().joules - 0.8e-6)
    assert on_edge(solution) == {"a"}
    assert solution.seconds == 4.0


def test_the_tolerance_at_the_bound_is_of_the_bound_not_of_what_can_be_chosen():
    """The bound is missed by half its tolerance: nanoseconds of an hour, beside microseconds."""
    graph = CallGraph(
        (Method("hour", 3600.0, 1.0, 1.0, remoteable=False), Method("tiny", 2e-6, 1e-6, 1.0))
    )
    solution = minimise_energy(graph, (3600 + 1e-6) * (1 - 0.5 * ROUNDING))
    assert on_edge(solution) == {"tiny"}


def test_equal_a_minimum_cut_where_there_is_no_bound():
    rng = np.random.default_rng(23)
    for _ in range(150):
        graph = random_graph(rng, int(rng.integers(1, 31)), lambda: rng.uniform(0, 10))
        energy = _min_cut(graph, lambda m: m.local_j, lambda m: m.edge_j, lambda c: c.transfer_j)
        assert minimise_energy(graph).joules == pytest.approx(energy, rel=1e-9)
        time = _min_cut(graph, lambda m: m.local_s, lambda m: m.edge_s, lambda c: c.transfer_s)
        assert minimise_latency(graph).seconds == pytest.approx(time, rel=1e-9)


def test_order_of_methods_and_units_do_not_matter():
    rng = np.random.default_rng(24)
    for _ in range(40):
        graph = random_graph(rng, 10, lambda: rng.uniform(0.1, 10))
        bound = 0.8 * graph.all_local().seconds
        answer = minimise_energy(graph, bound)
        shuffled = CallGraph(
            tuple(graph.methods[i] for i in rng.permutation(10)),
            tuple(reversed(graph.calls)),
            tuple(reversed(graph.groups)),
        )
        assert minimise_energy(shuffled, bound).objective == pytest.approx(
            answer.objective, rel=1e-12
        )
        milliseconds_and_microjoules = CallGraph(
            tuple(
                Method(
                    m.name, m.local_s * 1e3, m.edge_s * 1e3, m.local_j * 1e6, m.edge_j * 1e6,
                    m.remoteable,
                )
                for m in graph.methods
            ),
            tuple(
                Call(c.caller, c.callee, c.transfer_s * 1e3, c.transfer_j * 1e6)
                for c in graph.calls
            ),
            graph.groups,
        )  # fmt: skip
        rescaled = minimise_energy(milliseconds_and_microjoules, bound * 1e3)
        assert dict(rescaled.placement) == dict(answer.placement)


def test_looser_bounds_never_cost_more():
    rng = np.random.default_rng(25)
    graph = random_graph(rng, 30, lambda: rng.exponential(1.0))
    fastest = minimise_latency(graph).seconds
    joules = [minimise_energy(graph, fastest * share).joules for share in np.linspace(1, 2, 15)]
    assert np.all(np.diff(joules) <= 1e-12)
    assert joules[0] > joules[-1]
