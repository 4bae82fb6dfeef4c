"""A program as MAUI sees it: methods, the calls between them, and what each placement costs.

The model is MAUI's (Cuervo et al., MobiSys 2010, section 5): every method has seconds and joules
on either side, every call has seconds and joules of moving program state, paid when caller and
callee stand on different sides. A single offloadable task is the smallest such graph, see
:meth:`CallGraph.single_task`, so one oracle serves whole programs and single tasks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offload.errors import GraphError
from offload.types import FloatArray, IntArray, Placement

ROOT = "root"
"""Name of the pinned caller in :meth:`CallGraph.single_task`."""


def _require_amounts(what: str, **amounts: float) -> None:
    for field, value in amounts.items():
        if not (math.isfinite(value) and value >= 0):
            raise GraphError(f"{what}: {field} is {value!r}; it must be finite and not negative")


@dataclass(frozen=True, slots=True)
class Method:
    """One vertex: a method, and what it costs on either side.

    Attributes:
        name: unique in its graph.
        local_s: seconds on the device (MAUI's T^l).
        edge_s: seconds on the edge server, without the transfer of state (T^r).
        local_j: joules the device spends to run it (E^l).
        edge_j: joules the device draws while it runs remotely. MAUI's own model has 0 here.
        remoteable: False pins it to the device (sensors, screen, files; MAUI's r = 0).

    Raises:
        GraphError: an empty name, or an amount that is negative or not finite.
    """

    name: str
    local_s: float
    edge_s: float
    local_j: float
    edge_j: float = 0.0
    remoteable: bool = True

    def __post_init__(self) -> None:
        if not self.name:
            raise GraphError("a method's name is empty; give every method a name of its own")
        _require_amounts(
            f"method {self.name!r}",
            local_s=self.local_s,
            edge_s=self.edge_s,
            local_j=self.local_j,
            edge_j=self.edge_j,
        )


@dataclass(frozen=True, slots=True)
class Call:
    """One edge: ``caller`` invokes ``callee``.

    Attributes:
        transfer_s: seconds to move the program state when the two stand apart (MAUI's B).
        transfer_j: joules the device spends on that (C).

    Raises:
        GraphError: a method that calls itself, or an amount that is negative or not finite.
    """

    caller: str
    callee: str
    transfer_s: float
    transfer_j: float

    def __post_init__(self) -> None:
        if self.caller == self.callee:
            raise GraphError(
                f"method {self.caller!r} calls itself; recursion moves no state between the "
                "sides, so put its cost into the method's own seconds and joules"
            )
        _require_amounts(
            f"call {self.caller!r} -> {self.callee!r}",
            transfer_s=self.transfer_s,
            transfer_j=self.transfer_j,
        )


class GraphCost(NamedTuple):
    """Seconds and joules of a placement, or of many: floats, or arrays of one shape."""

    seconds: Any
    joules: Any


@dataclass(frozen=True)
class CallGraph:
    """A directed call graph; cycles are allowed, and parallel calls add up.

    Attributes:
        methods: the vertices; their order is that of the columns of :meth:`costs`.
        calls: the edges.
        groups: sets of method names that must stand on one side. Groups that overlap act as one;
            a group that holds a method that is not remoteable stays local as a whole.

    Raises:
        GraphError: no method, a name given twice, a call or group that names no method of the
            graph, or an empty group.
    """

    methods: tuple[Method, ...]
    calls: tuple[Call, ...] = ()
    groups: tuple[frozenset[str], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "methods", tuple(self.methods))
        object.__setattr__(self, "calls", tuple(self.calls))
        object.__setattr__(self, "groups", _as_groups(self.groups))
        if not self.methods:
            raise GraphError("a call graph needs at least one method; it was given none")
        known: set[str] = set()
        for method in self.methods:
            if method.name in known:
                raise GraphError(f"two methods are named {method.name!r}; names must be unique")
            known.add(method.name)
        for call in self.calls:
            self._require_known(
                f"call {call.caller!r} -> {call.callee!r}", call.caller, call.callee
            )
        for group in self.groups:
            if not group:
                raise GraphError("a colocation group is empty; leave it out, or name its methods")
            self._require_known(f"colocation group {sorted(group)}", *sorted(group))

    def _require_known(self, what: str, *names: str) -> None:
        for name in names:
            if name not in self.index:
                raise GraphError(
                    f"{what} names {name!r}, which is no method of the graph; "
                    f"its methods: {', '.join(self.index)}"
                )

    @classmethod
    def single_task(
        cls,
        name: str = "task",
        *,
        local_s: float,
        edge_s: float,
        local_j: float,
        edge_j: float = 0.0,
        transfer_s: float = 0.0,
        transfer_j: float = 0.0,
    ) -> CallGraph:
        """The graph of one task: a root that costs nothing and stays on the device calls it.

        Args:
            name: the task's name, any but ``"root"``.
            local_s, local_j: the task on the device.
            edge_s, edge_j: the task on the edge server, without the transfer.
            transfer_s, transfer_j: moving its input up and its output down.

        Raises:
            GraphError: the name is the root's, or an amount is negative or not finite.
        """
        if name == ROOT:
            raise GraphError(f"the task is named {ROOT!r}, as its caller is; give it another name")
        return cls(
            methods=(
                Method(ROOT, 0.0, 0.0, 0.0, remoteable=False),
                Method(name, local_s, edge_s, local_j, edge_j),
            ),
            calls=(Call(ROOT, name, transfer_s, transfer_j),),
        )

    @cached_property
    def index(self) -> dict[str, int]:
        """The column of each method, by name."""
        return {method.name: column for column, method in enumerate(self.methods)}

    @cached_property
    def endpoints(self) -> IntArray:
        """Columns of caller and callee, shape (calls, 2)."""
        pairs = [(self.index[call.caller], self.index[call.callee]) for call in self.calls]
        return np.array(pairs, dtype=np.intp).reshape(-1, 2)

    @cached_property
    def components(self) -> IntArray:
        """The number of the colocated component each method is in, shape (methods,).

        Methods of one group (and of groups that overlap) share a component; every other method
        is a component of its own. Numbers run from 0 in the order of ``methods``.
        """
        parent = list(range(len(self.methods)))

        def find(column: int) -> int:
            while parent[column] != column:
                parent[column] = parent[parent[column]]
                column = parent[column]
            return column

        for group in self.groups:
            first, *others = (self.index[name] for name in group)
            for other in others:
                parent[find(other)] = find(first)
        numbers: dict[int, int] = {}
        roots = [find(column) for column in range(len(parent))]
        return np.array([numbers.setdefault(root, len(numbers)) for root in roots], dtype=np.intp)

    @cached_property
    def pinned(self) -> NDArray[np.bool_]:
        """Whether each component must stay local, shape (components,)."""
        pinned = np.zeros(int(self.components.max()) + 1, dtype=bool)
        for method, component in zip(self.methods, self.components, strict=True):
            pinned[component] |= not method.remoteable
        return pinned

    @cached_property
    def _amounts(self) -> tuple[FloatArray, FloatArray]:
        methods = [(m.local_s, m.edge_s, m.local_j, m.edge_j) for m in self.methods]
        calls = [(c.transfer_s, c.transfer_j) for c in self.calls]
        return (
            np.array(methods, dtype=np.float64).T,
            np.array(calls, dtype=np.float64).reshape(-1, 2).T,
        )

    def permits(self, remote: ArrayLike) -> NDArray[np.bool_]:
        """Whether placements keep to ``remoteable`` and the groups.

        Args:
            remote: True (or 1) where a method runs on the edge, shape (..., methods).

        Returns:
            shape (...).
        """
        placed = np.asarray(remote, dtype=bool)
        leader = np.unique(self.components, return_index=True)[1][self.components]
        together = placed == placed[..., leader]
        return np.all(together & ~(placed & self.pinned[self.components]), axis=-1)

    def costs(self, remote: ArrayLike) -> GraphCost:
        """Seconds and joules of placements: the sums of MAUI's model, and the only place for them.

        seconds = sum (1 - I_v) T^l_v + I_v T^r_v + sum |I_u - I_v| B_uv, and joules likewise with
        E^l, ``edge_j`` and C.

        Args:
            remote: I: True (or 1) where a method runs on the edge, shape (..., methods). Whether
                the placement is allowed is not asked here; see :meth:`permits`.

        Returns:
            seconds and joules, each of shape (...).
        """
        placed = np.asarray(remote, dtype=bool)
        (local_s, edge_s, local_j, edge_j), (transfer_s, transfer_j) = self._amounts
        apart = placed[..., self.endpoints[:, 0]] != placed[..., self.endpoints[:, 1]]
        return GraphCost(
            np.where(placed, edge_s, local_s).sum(-1) + np.where(apart, transfer_s, 0).sum(-1),
            np.where(placed, edge_j, local_j).sum(-1) + np.where(apart, transfer_j, 0).sum(-1),
        )

    def evaluate(self, placement: Mapping[str, Placement | int]) -> GraphCost:
        """Seconds and joules of one placement given by name.

        Raises:
            GraphError: a method is missing, unknown, pinned yet placed on the edge, or parted from
                its group.
        """
        self._require_known("the placement", *placement)
        missing = [name for name in self.index if name not in placement]
        if missing:
            raise GraphError(f"the placement leaves out {', '.join(missing)}; place every method")
        remote = np.array([Placement(placement[name]) == Placement.EDGE for name in self.index])
        if not self.permits(remote):
            raise GraphError(f"the placement is not allowed: {self._why_not(remote)}")
        seconds, joules = self.costs(remote)
        return GraphCost(float(seconds), float(joules))

    def _why_not(self, remote: NDArray[np.bool_]) -> str:
        for method, on_edge in zip(self.methods, remote, strict=True):
            if on_edge and not method.remoteable:
                return f"{method.name!r} is on the edge but is not remoteable"
        for group in self.groups:
            if len({bool(remote[self.index[name]]) for name in group}) > 1:
                return f"the colocation group {sorted(group)} is split; place it on one side"
        return "a colocation group holds a method that is not remoteable; place it locally"

    def all_local(self) -> GraphCost:
        """Seconds and joules when everything runs on the device."""
        seconds, joules = self.costs(np.zeros(len(self.methods), dtype=bool))
        return GraphCost(float(seconds), float(joules))


def _as_groups(groups: Iterable[Iterable[str]]) -> tuple[frozenset[str], ...]:
    """Sets of names; a bare string in their place is a slip that would pass for single letters."""
    given = tuple(groups)
    for group in given:
        if isinstance(group, str):
            raise GraphError(f"a colocation group is the string {group!r}; write {{{group!r}}}")
    return tuple(frozenset(group) for group in given)
