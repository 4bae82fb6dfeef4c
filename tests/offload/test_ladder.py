"""Every method of the ladder against the integer program, each on the graphs that it fits."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

import offload.ladder as ladder
from offload.call_graph import Call, CallGraph, Method
from offload.errors import ConfigError
from offload.maui import Amounts, SolvedBy, Status, minimise_weighted, place_programs
from offload.placement_methods import pareto_tree
from offload.placement_methods.free_program import FreeProgram
from offload.placement_methods.minimum_cut import least_cut

INFINITY = math.inf
BOUNDED = (SolvedBy.EVERY_PLACEMENT, SolvedBy.PARETO_TREE)


def _graph(rng: np.random.Generator, methods: int, *, tree: bool) -> CallGraph:
    """Pinned methods, groups, parallel calls; amounts over five decades in one graph of five."""
    wide = rng.random() < 0.2

    def amount() -> float:
        return float(10 ** rng.uniform(-3, 2) if wide else rng.uniform(0, 10))

    names = [f"m{number}" for number in range(methods)]
    vertices = [
        Method(name, amount(), 0.3 * amount(), amount(), 0.1 * amount(), rng.random() > 0.15)
        for name in names
    ]
    calls = []
    for number in range(1, methods):
        callers = rng.choice(number, min(number, 1 if tree else 3), replace=False)
        for caller in callers:
            calls.append(Call(names[caller], names[number], amount() / 3, amount() / 3))
            if rng.random() < 0.2:
                calls.append(Call(names[number], names[caller], amount() / 9, amount() / 9))
    groups = []
    if methods > 2 and rng.random() < 0.5:
        # A child with its parent: the components still form a forest.
        child = int(rng.integers(1, methods))
        parent = next(call.caller for call in calls if call.callee == names[child])
        groups.append(frozenset({names[child], parent}))
    return CallGraph(tuple(vertices), tuple(calls), tuple(groups))


def _bounds(rng: np.random.Generator, graph: CallGraph) -> tuple[float, float]:
    """One bound: out of reach, met exactly by a placement, or in between."""
    amounts = graph.costs(
        rng.integers(0, 2, (30, len(graph.methods))) * ~graph.pinned[graph.components]
    )
    which = int(rng.integers(2))
    least = minimise_weighted(graph, 1 - which, which).objective
    values = amounts[which]
    bound = (least * (1 - 1e-6), least, rng.choice(values), rng.uniform(least, values.mean()))
    chosen = float(bound[rng.integers(4)])
    return (chosen, INFINITY) if which == 0 else (INFINITY, chosen)


@pytest.mark.parametrize(
    ("by", "methods", "tree"),
    [
        (SolvedBy.CLOSED_FORM, (1, 3), True),
        (SolvedBy.TREE, (2, 40), True),
        (SolvedBy.EVERY_PLACEMENT, (2, 9), False),
        (SolvedBy.MINIMUM_CUT, (2, 40), False),
        (SolvedBy.PARETO_TREE, (2, 25), True),
    ],
)
def test_equal_to_the_integer_program_on_200_random_graphs(
    by: SolvedBy, methods: tuple[int, int], tree: bool
) -> None:
    rng = np.random.default_rng(list(SolvedBy).index(by))
    seen: Counter[Status] = Counter()
    while seen.total() < 200:
        graph = _graph(rng, int(rng.integers(*methods)), tree=tree)
        bounds = (INFINITY, INFINITY)
        if by in BOUNDED:
            bounds = _bounds(rng, graph)
        weights = rng.uniform(0.0, 1.0, 2) * rng.choice([[1, 0], [0, 1], [1, 1]])
        try:
            quick = minimise_weighted(graph, *weights, *bounds, by=by)
        except ConfigError:
            continue  # more than one free component: the closed form does not fit
        exact = minimise_weighted(graph, *weights, *bounds, by=SolvedBy.INTEGER_PROGRAM)
        assert exact.solved_by is SolvedBy.INTEGER_PROGRAM
        assert quick.solved_by is by
        assert quick.status is exact.status
        assert quick.objective == pytest.approx(exact.objective, rel=1e-11)
        if quick.status is Status.OPTIMAL:
            assert quick.seconds <= bounds[0] * (1 + 1e-12)
            assert quick.joules <= bounds[1] * (1 + 1e-12)
        seen[quick.status] += 1
    if by in BOUNDED:
        assert min(seen.values()) > 20, seen


def test_each_program_goes_to_the_method_that_fits_it() -> None:
    rng = np.random.default_rng(1)

    def chain(methods: int) -> CallGraph:
        vertices = tuple(Method(f"m{i}", *rng.uniform(1, 2, 3)) for i in range(methods))
        calls = tuple(Call(f"m{i}", f"m{i + 1}", *rng.uniform(0, 1, 2)) for i in range(methods - 1))
        return CallGraph(vertices, calls)

    def ring(methods: int) -> CallGraph:
        open_one = chain(methods)
        closing = Call(f"m{methods - 1}", "m0", 0.1, 0.1)
        return CallGraph(open_one.methods, (*open_one.calls, closing))

    loose = 1e3
    assert _by(CallGraph.single_task(local_s=1, edge_s=1, local_j=1)) is SolvedBy.CLOSED_FORM
    assert _by(chain(8), loose) is SolvedBy.EVERY_PLACEMENT
    assert _by(chain(9)) is SolvedBy.TREE
    assert _by(ring(9)) is SolvedBy.MINIMUM_CUT
    assert _by(chain(9), loose) is SolvedBy.PARETO_TREE
    assert _by(ring(9), loose) is SolvedBy.INTEGER_PROGRAM
    assert _by(chain(9), loose, loose) is SolvedBy.INTEGER_PROGRAM
    assert minimise_weighted(chain(9), 1, 1, -1.0).solved_by is None


def _by(
    graph: CallGraph, time_bound_s: float = INFINITY, energy_bound_j: float = INFINITY
) -> SolvedBy | None:
    return minimise_weighted(graph, 1, 1, time_bound_s, energy_bound_j).solved_by


def test_a_method_that_does_not_fit_is_refused() -> None:
    graph = _graph(np.random.default_rng(2), 30, tree=False)
    with pytest.raises(ConfigError, match="tree does not fit this program; what does: minimum cut"):
        minimise_weighted(graph, 1, 1, by=SolvedBy.TREE)


def test_a_tree_with_too_many_bargains_goes_to_the_integer_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    graph = _graph(rng, 25, tree=True)
    bound_s = 0.7 * graph.all_local().seconds
    found = minimise_weighted(graph, 0, 1, bound_s)
    assert found.solved_by is SolvedBy.PARETO_TREE
    monkeypatch.setattr(pareto_tree, "MOST_LABELS", 10)
    again = minimise_weighted(graph, 0, 1, bound_s)
    assert again.solved_by is SolvedBy.INTEGER_PROGRAM
    assert again.objective == pytest.approx(found.objective, rel=1e-12)


def test_a_cut_that_is_not_proven_goes_to_the_integer_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The flow is the proof: no placement costs less than it."""
    graph = _graph(np.random.default_rng(4), 30, tree=False)
    assert _by(graph) is SolvedBy.MINIMUM_CUT

    def wrong(*given):
        placed, flow = least_cut(*given)
        return 1 - placed, flow

    monkeypatch.setattr(ladder, "least_cut", wrong)
    assert _by(graph) is SolvedBy.INTEGER_PROGRAM


def test_ties_stay_on_the_device() -> None:
    vertices = tuple(Method(f"m{i}", 1.0, 1.0, 0.0) for i in range(5))
    calls = tuple(Call(f"m{i}", f"m{i + 1}", 0.0, 0.0) for i in range(4))
    graph = CallGraph(vertices, calls)
    for by in (SolvedBy.TREE, SolvedBy.EVERY_PLACEMENT, SolvedBy.MINIMUM_CUT):
        assert not any(minimise_weighted(graph, 1, 1, by=by).placement.values()), by


def test_the_flow_of_a_textbook_network() -> None:
    """Two components: apart 1 + 2 + 3 = 6; both on the device 4 + 2; both on the edge 1 + 9."""
    placed, flow = least_cut(
        np.array([4.0, 2.0]), np.array([1.0, 9.0]), np.array([[0, 1]]), np.array([2.5])
    )
    assert placed.tolist() == [1, 0]
    assert flow == 5.5


@pytest.mark.parametrize(
    ("tree", "size", "bounded"), [(True, 30, False), (False, 8, True), (True, 2, True)]
)
def test_many_programs_at_once_are_placed_as_each_alone(
    tree: bool, size: int, bounded: bool
) -> None:
    rng = np.random.default_rng(5)
    graph = _graph(rng, size, tree=tree)
    programs = 60
    local, edge = rng.exponential(1.0, (2, 2, programs, size))
    transfer = rng.exponential(0.3, (2, programs, len(graph.calls)))
    weights = rng.uniform(0.1, 1.0, (2, programs))
    bounds = np.full((2, programs), INFINITY)
    if bounded:
        bounds[0] = local[0].sum(axis=1) * rng.uniform(0.3, 1.2, programs)
    placed, feasible = place_programs(
        graph, Amounts(local, 0.3 * edge, transfer), *weights, *bounds
    )
    assert placed.shape == (programs, size)
    for i in range(programs):
        alone = CallGraph(
            tuple(
                Method(
                    method.name,
                    *(local[0, i, v], 0.3 * edge[0, i, v], local[1, i, v], 0.3 * edge[1, i, v]),
                    method.remoteable,
                )
                for v, method in enumerate(graph.methods)
            ),
            tuple(
                Call(call.caller, call.callee, *transfer[:, i, c])
                for c, call in enumerate(graph.calls)
            ),
            graph.groups,
        )
        exact = minimise_weighted(alone, *weights[:, i], *bounds[:, i], by=SolvedBy.INTEGER_PROGRAM)
        assert feasible[i] == (exact.status is Status.OPTIMAL)
        if feasible[i]:
            cost = weights[:, i] @ np.array(alone.costs(placed[i]))
            assert cost == pytest.approx(exact.objective, rel=1e-11)
            assert alone.permits(placed[i])
        else:
            assert not placed[i].any()
    assert feasible.any()
    assert bounded != feasible.all()


def test_many_programs_that_no_batched_method_fits_are_refused() -> None:
    graph = _graph(np.random.default_rng(2), 30, tree=False)
    assert FreeProgram(graph).size > 8
    with pytest.raises(ConfigError, match="use minimise_weighted for each"):
        place_programs(graph, Amounts.of(graph), 1, 1)
    small = CallGraph((Method("a", 1, 1, 1),))
    with pytest.raises(ConfigError, match="the graph's are"):
        place_programs(small, Amounts.of(graph), 1, 1)
    broken = Amounts(np.full((2, 1, 1), -1.0), np.ones((2, 1, 1)), np.ones((2, 1, 0)))
    with pytest.raises(ConfigError, match="negative or not finite"):
        place_programs(small, broken, 1, 1)
