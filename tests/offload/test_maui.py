"""The MAUI programs against brute force, a minimum cut, and numbers worked out by hand."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from offload.call_graph import Call, CallGraph, Method
from offload.errors import ConfigError, SolverError
from offload.maui import (
    Solution,
    SolvedBy,
    Status,
    default_time_bound_s,
    minimise_energy,
    minimise_latency,
    minimise_weighted,
    place_single_tasks,
)
from offload.partition_program import PartitionProgram
from offload.types import Placement

INFINITY = math.inf
ROUNDING = 1e-12  # the tolerance at the bound that offload.maui documents


# --- the worked example of docs/models-maui.md ---------------------------------------------------


def _photo_app() -> CallGraph:
    return CallGraph(
        methods=(
            Method("camera", 0.1, 0.1, 0.1, remoteable=False),
            Method("detect", 2.0, 0.2, 4.0),
            Method("classify", 3.0, 0.3, 6.0),
            Method("show", 0.1, 0.1, 0.1, remoteable=False),
        ),
        calls=(
            Call("camera", "detect", 4.0, 2.0),
            Call("detect", "classify", 1.5, 3.0),
            Call("classify", "show", 0.1, 0.2),
        ),
    )


def _on_edge(solution: Solution) -> set[str]:
    return {name for name, side in solution.placement.items() if side is Placement.EDGE}


def test_worked_example_energy():
    graph = _photo_app()
    assert default_time_bound_s(graph) == pytest.approx(5.46)
    loose = minimise_energy(graph, default_time_bound_s(graph))
    assert _on_edge(loose) == {"detect", "classify"}
    assert loose.status is Status.OPTIMAL
    assert (loose.seconds, loose.joules) == pytest.approx((4.8, 2.4))
    assert loose.saved_j == pytest.approx(7.8)  # 4 + 6 - 2 - 0.2, the seed's objective
    assert loose.objective == loose.joules
    tight = minimise_energy(graph, 4.5)
    assert _on_edge(tight) == {"classify"}
    assert tight.saved_j == pytest.approx(2.8)  # 6 - 3 - 0.2


def test_worked_example_latency_and_weights():
    graph = _photo_app()
    fastest = minimise_latency(graph)
    assert _on_edge(fastest) == {"classify"}
    assert fastest.objective == pytest.approx(4.1)
    frugal = minimise_latency(graph, energy_bound_j=5.0)
    assert _on_edge(frugal) == {"detect", "classify"}
    assert frugal.objective == pytest.approx(4.8)
    assert minimise_weighted(graph, 1, 1).objective == pytest.approx(7.2)
    assert minimise_weighted(graph, 1, 0.1).objective == pytest.approx(4.84)
    # The crossing point: 4.1 + 7.4 w = 4.8 + 2.4 w at w = 0.14.
    assert _on_edge(minimise_weighted(graph, 1, 0.139)) == {"classify"}
    assert _on_edge(minimise_weighted(graph, 1, 0.141)) == {"detect", "classify"}


def test_worked_example_group_with_a_pinned_member_stays_local():
    graph = replace(_photo_app(), groups=(frozenset({"detect", "show"}),))
    assert _on_edge(minimise_energy(graph)) == {"classify"}


def test_the_code_of_the_documentation_runs_and_gives_its_numbers(capsys):
    page = Path(__file__).parents[2] / "docs" / "models-maui.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    scope: dict = {}
    exec(compile(code, str(page), "exec"), scope)
    assert scope["graph"] == _photo_app()
    assert scope["solution"].joules == pytest.approx(2.4)
    assert capsys.readouterr().out.startswith("optimal 2.4")


@pytest.mark.parametrize("bound", [4.0, 0.0, -1.0, -INFINITY])
def test_infeasible_is_a_value_to_handle(bound):
    solution = minimise_energy(_photo_app(), bound)
    assert solution.status is Status.INFEASIBLE
    assert dict(solution.placement) == {}
    assert (solution.objective, solution.saved_j) == (INFINITY, -INFINITY)
    assert minimise_latency(_photo_app(), energy_bound_j=2.0).status is Status.INFEASIBLE


def test_a_bound_met_exactly_is_kept():
    graph = _photo_app()
    cost = graph.evaluate({"camera": 0, "detect": 1, "classify": 1, "show": 0})
    assert minimise_energy(graph, cost.seconds).joules == cost.joules
    assert minimise_energy(graph, cost.seconds * (1 - 1e-11)).joules > cost.joules


# --- random graphs -------------------------------------------------------------------------------


def _random_graph(rng: np.random.Generator, methods: int, amount) -> CallGraph:
    names = [f"m{number}" for number in range(methods)]
    vertices = tuple(
        Method(
            name,
            amount(),
            amount(),
            amount(),
            edge_j=0.1 * amount() * rng.integers(2),
            remoteable=bool(rng.random() > 0.2),
        )
        for name in names
    )
    count = int(rng.integers(0, 2 * methods)) if methods > 1 else 0
    calls = tuple(
        Call(*rng.choice(names, 2, replace=False), 0.3 * amount(), 0.3 * amount())
        for _ in range(count)
    )
    groups = tuple(
        frozenset(rng.choice(names, rng.integers(1, min(methods, 3) + 1), replace=False))
        for _ in range(rng.integers(0, 3))
    )
    return CallGraph(vertices, calls, groups)


def _bound(rng: np.random.Generator, amounts: np.ndarray) -> float:
    """None, met exactly by some placement, missed by all, or somewhere in between."""
    choices = (
        INFINITY,
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
        add("device", method.name, edge(method) if method.remoteable else INFINITY)
    for call in graph.calls:
        add(call.caller, call.callee, transfer(call))
        add(call.callee, call.caller, transfer(call))
    for group in graph.groups:
        first, *others = sorted(group)
        for other in others:
            add(first, other, INFINITY)
            add(other, first, INFINITY)
    return nx.minimum_cut_value(network, "device", "server")


def test_both_programs_equal_brute_force_on_500_random_graphs():
    rng = np.random.default_rng(20)
    seen = {Status.OPTIMAL: 0, Status.INFEASIBLE: 0}
    for _ in range(500):
        graph = _random_graph(rng, int(rng.integers(1, 13)), lambda: rng.uniform(0, 10))
        all_costs = graph.costs(rng.integers(0, 2, (50, len(graph.methods))))
        time_bound, energy_bound = (_bound(rng, amounts) for amounts in all_costs)
        for weights, bounds in (
            ((0, 1), (time_bound, INFINITY)),
            ((1, 0), (INFINITY, energy_bound)),
        ):
            seen[_assert_equals_brute_force(graph, weights, *bounds)] += 1
    assert min(seen.values()) > 100, seen


def test_weighted_with_both_bounds_equals_brute_force():
    rng = np.random.default_rng(21)
    for _ in range(100):
        graph = _random_graph(rng, int(rng.integers(1, 11)), lambda: rng.uniform(0, 10))
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
        graph = _random_graph(rng, int(rng.integers(2, 9)), amount)
        all_costs = graph.costs(rng.integers(0, 2, (20, len(graph.methods))))
        time_bound, energy_bound = (_bound(rng, amounts) for amounts in all_costs)
        _assert_equals_brute_force(graph, (0, 1), time_bound, INFINITY)
        _assert_equals_brute_force(graph, (1, 0), INFINITY, energy_bound)


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
    assert _on_edge(solution) == {"a"}
    assert solution.seconds == 4.0


def test_the_tolerance_at_the_bound_is_of_the_bound_not_of_what_can_be_chosen():
    """The bound is missed by half its tolerance: nanoseconds of an hour, beside microseconds."""
    graph = CallGraph(
        (Method("hour", 3600.0, 1.0, 1.0, remoteable=False), Method("tiny", 2e-6, 1e-6, 1.0))
    )
    solution = minimise_energy(graph, (3600 + 1e-6) * (1 - 0.5 * ROUNDING))
    assert _on_edge(solution) == {"tiny"}


def test_equal_a_minimum_cut_where_there_is_no_bound():
    rng = np.random.default_rng(23)
    for _ in range(150):
        graph = _random_graph(rng, int(rng.integers(1, 31)), lambda: rng.uniform(0, 10))
        energy = _min_cut(graph, lambda m: m.local_j, lambda m: m.edge_j, lambda c: c.transfer_j)
        assert minimise_energy(graph).joules == pytest.approx(energy, rel=1e-9)
        time = _min_cut(graph, lambda m: m.local_s, lambda m: m.edge_s, lambda c: c.transfer_s)
        assert minimise_latency(graph).seconds == pytest.approx(time, rel=1e-9)


def test_order_of_methods_and_units_do_not_matter():
    rng = np.random.default_rng(24)
    for _ in range(40):
        graph = _random_graph(rng, 10, lambda: rng.uniform(0.1, 10))
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
    graph = _random_graph(rng, 30, lambda: rng.exponential(1.0))
    fastest = minimise_latency(graph).seconds
    joules = [minimise_energy(graph, fastest * share).joules for share in np.linspace(1, 2, 15)]
    assert np.all(np.diff(joules) <= 1e-12)
    assert joules[0] > joules[-1]


# --- bad input, failing solver -------------------------------------------------------------------


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
        minimise_weighted(_photo_app(), *weights, **bounds)


def test_a_solver_that_stops_early_raises(monkeypatch):
    import offload.partition_program as partition_program

    real = partition_program.milp

    def stopped(*args, **kwargs):
        return real(*args, **{**kwargs, "options": {**kwargs["options"], "time_limit": 0.0}})

    monkeypatch.setattr(partition_program, "milp", stopped)
    rng = np.random.default_rng(26)
    graph = _random_graph(rng, 40, lambda: rng.exponential(1.0))
    with pytest.raises(SolverError, match="HiGHS stopped with status 1"):
        minimise_energy(graph, 0.6 * graph.all_local().seconds)


def test_giving_up_raises_and_says_why(monkeypatch):
    import offload.partition_program as partition_program

    monkeypatch.setattr(partition_program, "_MAX_PROGRAMS", 0)
    program = PartitionProgram(_photo_app(), np.array([0.0, 1.0]), np.array([5.0, np.inf]))
    with pytest.raises(SolverError, match="too close to the bound"):
        program.solve()


# --- many single tasks ---------------------------------------------------------------------------


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
        ((1, 1, 1, 1), INFINITY, 0),  # tie
        ((2, 1, 1, 1), INFINITY, 1),
        ((2, 1, 1, 3), INFINITY, 0),
        ((2, 1, 1, 3), 1.5, 1),  # local is cheaper but late
        ((1, 2, 9, 1), 1.5, 0),  # the edge is cheaper but late
        ((2, 3, 9, 1), 1.0, 0),  # both late: the less late
        ((3, 2, 1, 9), 1.0, 1),
        ((2, 2, 1, 9), 1.0, 0),  # both late by as much: ties go local
        ((1, INFINITY, 1, 0), INFINITY, 0),  # no edge in reach
        ((1, INFINITY, 1, 0), 0.5, 0),
    ],
)
def test_single_task_by_hand(case, bound, side):
    placed = place_single_tasks(*case, time_weight=1, energy_weight=1, time_bound_s=bound)
    assert placed == side
    assert placed.shape == ()


def test_an_unreachable_edge_is_never_chosen_whatever_the_weight():
    assert place_single_tasks(1, INFINITY, 5, 0, time_weight=0, energy_weight=1) == 0


def test_single_tasks_broadcast():
    placed = place_single_tasks(
        np.array([1.0, 3.0]), 2.0, 1.0, 1.0, 1.0, 0.0, np.array([[INFINITY], [2.0], [2.5]])
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
