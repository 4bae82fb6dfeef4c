"""Call graphs: what they refuse, and the seconds and joules of a placement worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from offload.call_graph import Call, CallGraph, Method
from offload.errors import GraphError
from offload.types import Placement

LOCAL, EDGE = Placement.LOCAL, Placement.EDGE


def _photo_app(**changes: object) -> CallGraph:
    """The worked example of docs/models-maui.md."""
    settings: dict = {
        "methods": (
            Method("camera", 0.1, 0.1, 0.1, remoteable=False),
            Method("detect", 2.0, 0.2, 4.0),
            Method("classify", 3.0, 0.3, 6.0),
            Method("show", 0.1, 0.1, 0.1, remoteable=False),
        ),
        "calls": (
            Call("camera", "detect", 4.0, 2.0),
            Call("detect", "classify", 1.5, 3.0),
            Call("classify", "show", 0.1, 0.2),
        ),
    }
    return CallGraph(**{**settings, **changes})


@pytest.mark.parametrize(
    ("detect", "classify", "seconds", "joules"),
    [
        (LOCAL, LOCAL, 5.2, 10.2),
        (EDGE, LOCAL, 8.9, 11.2),
        (LOCAL, EDGE, 4.1, 7.4),
        (EDGE, EDGE, 4.8, 2.4),
    ],
)
def test_costs_of_the_worked_example(detect, classify, seconds, joules):
    placement = {"camera": LOCAL, "detect": detect, "classify": classify, "show": LOCAL}
    cost = _photo_app().evaluate(placement)
    assert cost.seconds == pytest.approx(seconds, abs=1e-12)
    assert cost.joules == pytest.approx(joules, abs=1e-12)


def test_costs_equal_the_sums_of_the_specification_written_out():
    rng = np.random.default_rng(7)
    names = [f"m{i}" for i in range(6)]
    methods = tuple(Method(name, *rng.uniform(0, 5, 4)) for name in names)
    calls = tuple(
        Call(*rng.choice(names, 2, replace=False), *rng.uniform(0, 5, 2)) for _ in "12345"
    )
    graph = CallGraph(methods, calls)
    remote = rng.integers(0, 2, (40, 6))
    cost = graph.costs(remote)
    assert cost.seconds.shape == cost.joules.shape == (40,)
    for row, seconds, joules in zip(remote, cost.seconds, cost.joules, strict=True):
        placed = dict(zip(names, row, strict=True))
        t = e = 0.0
        for m in methods:
            t += (1 - placed[m.name]) * m.local_s + placed[m.name] * m.edge_s
            e += (1 - placed[m.name]) * m.local_j + placed[m.name] * m.edge_j
        for c in calls:
            t += abs(placed[c.caller] - placed[c.callee]) * c.transfer_s
            e += abs(placed[c.caller] - placed[c.callee]) * c.transfer_j
        assert seconds == pytest.approx(t, rel=1e-12)
        assert joules == pytest.approx(e, rel=1e-12)


def test_parallel_and_opposite_calls_add_up():
    methods = (Method("a", 1, 1, 1), Method("b", 1, 1, 1))
    calls = (Call("a", "b", 1, 10), Call("a", "b", 2, 20), Call("b", "a", 4, 40))
    cost = CallGraph(methods, calls).evaluate({"a": LOCAL, "b": EDGE})
    assert cost == (2 + 7, 1 + 70)


def test_single_task_is_a_pinned_root_and_the_task():
    graph = CallGraph.single_task(
        local_s=3, edge_s=0.5, local_j=6, edge_j=0.25, transfer_s=1, transfer_j=2
    )
    assert len(graph.methods) == 2
    assert graph.evaluate({"root": LOCAL, "task": LOCAL}) == (3, 6)
    assert graph.evaluate({"root": LOCAL, "task": EDGE}) == (1.5, 2.25)
    with pytest.raises(GraphError, match="'root' is on the edge but is not remoteable"):
        graph.evaluate({"root": EDGE, "task": EDGE})
    with pytest.raises(GraphError, match="the task is named 'root'"):
        CallGraph.single_task("root", local_s=1, edge_s=1, local_j=1)


def test_groups_that_overlap_act_as_one_and_a_pinned_member_pins_all():
    graph = CallGraph(
        tuple(Method(n, 1, 1, 1, remoteable=n != "c") for n in "abcdef"),
        groups=(frozenset("ab"), frozenset("bc"), frozenset("de")),
    )
    assert graph.components.tolist() == [0, 0, 0, 1, 1, 2]
    assert graph.pinned.tolist() == [True, False, False]
    allowed = {
        "".join(n for n, on in zip("abcdef", row, strict=True) if on)
        for row in np.ndindex(*(2,) * 6)
        if graph.permits(row)
    }
    assert allowed == {"", "de", "f", "def"}


def test_permits_many_placements_at_once():
    graph = CallGraph((Method("a", 1, 1, 1), Method("b", 1, 1, 1)), groups=(frozenset("ab"),))
    assert graph.permits([[0, 0], [0, 1], [1, 0], [1, 1]]).tolist() == [True, False, False, True]


def test_a_graph_without_calls_or_with_a_cycle_is_fine():
    methods = (Method("a", 1, 0, 1), Method("b", 2, 0, 2), Method("c", 3, 0, 3))
    assert CallGraph(methods).all_local() == (6, 6)
    ring = tuple(Call(u, v, 1, 1) for u, v in ("ab", "bc", "ca"))
    assert CallGraph(methods, ring).evaluate({"a": EDGE, "b": LOCAL, "c": LOCAL}) == (7, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ()}, "at least one method"),
        ({"methods": (Method("a", 1, 1, 1),) * 2, "calls": ()}, "two methods are named 'a'"),
        ({"calls": (Call("camera", "shwo", 1, 1),)}, "'shwo', which is no method.*camera, detect"),
        ({"groups": (frozenset({"detect", "x"}),)}, "names 'x', which is no method"),
        ({"groups": (frozenset(),)}, "group is empty"),
        ({"groups": ("detect",)}, "is the string 'detect'"),
    ],
)
def test_bad_graphs_are_refused_with_the_reason(changes, message):
    with pytest.raises(GraphError, match=message):
        _photo_app(**changes)


@pytest.mark.parametrize("amount", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("field", ["local_s", "edge_s", "local_j", "edge_j"])
def test_bad_amounts_of_a_method_are_refused(field, amount):
    amounts = {"local_s": 1.0, "edge_s": 1.0, "local_j": 1.0, "edge_j": 1.0, field: amount}
    with pytest.raises(GraphError, match=f"method 'm': {field} is .*finite and not negative"):
        Method("m", **amounts)


@pytest.mark.parametrize("field", ["transfer_s", "transfer_j"])
def test_bad_calls_are_refused(field):
    with pytest.raises(GraphError, match=f"call 'a' -> 'b': {field} is -0.5"):
        Call("a", "b", **{"transfer_s": 1.0, "transfer_j": 1.0, field: -0.5})
    with pytest.raises(GraphError, match="'a' calls itself"):
        Call("a", "a", 1, 1)
    with pytest.raises(GraphError, match="name is empty"):
        Method("", 1, 1, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"show": EDGE}, "'show' is on the edge but is not remoteable"),
        ({"detect": EDGE}, r"group \['classify', 'detect'\] is split"),
        ({"typo": LOCAL}, "the placement names 'typo'"),
    ],
)
def test_bad_placements_are_refused(changes, message):
    graph = _photo_app(groups=(frozenset({"detect", "classify"}),))
    placement = dict.fromkeys(("camera", "detect", "classify", "show"), LOCAL)
    with pytest.raises(GraphError, match=message):
        graph.evaluate({**placement, **changes})
    del placement["camera"]
    with pytest.raises(GraphError, match="leaves out camera"):
        graph.evaluate(placement)
