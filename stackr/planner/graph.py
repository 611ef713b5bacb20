"""Directed acyclic graphs of names: order, cycles, and the plan as a networkx graph.

This is the only importer of networkx, and imports it where it is needed, since that takes longer
than a whole `up` with nothing to do. The order alone comes from the standard library.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from stackr.errors import InvalidArgument

if TYPE_CHECKING:
    from networkx import DiGraph

    from stackr.planner.plan import Plan

__all__ = ["closure", "operations_graph", "topological_order"]


def topological_order(needs: Mapping[str, Collection[str]]) -> list[str]:
    """Names, each after all that it needs; of those that are free, the alphabetically first.

    needs: every name with what it needs; a needed name that is no key is left out.
    Raises InvalidArgument that shows the way around, for a cycle.
    """
    sorter = TopologicalSorter(
        {name: [need for need in needed if need in needs] for name, needed in needs.items()}
    )
    try:
        sorter.prepare()
    except CycleError as error:
        raise InvalidArgument(f"dependency cycle detected: {_way_around(error.args[1])}") from error
    order: list[str] = []
    free = list(sorter.get_ready())
    heapify(free)
    while free:
        name = heappop(free)
        order.append(name)
        sorter.done(name)
        for ready in sorter.get_ready():
            heappush(free, ready)
    return order


def _way_around(cycle: list[str]) -> str:
    """The cycle from its alphabetically first name, each arrow to what is needed."""
    ring = cycle[:0:-1]
    first = ring.index(min(ring))
    ring = ring[first:] + ring[:first]
    return " -> ".join([*ring, ring[0]])


def closure(names: Collection[str], needs: Mapping[str, Collection[str]]) -> set[str]:
    """The names and, transitively, all that they need."""
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(needs.get(name, ()))
    return reached


def operations_graph(plan: Plan) -> DiGraph[int]:
    """A node for each operation (attribute `operation`), an edge from each to what waits for it."""
    from networkx import DiGraph

    graph: DiGraph[int] = DiGraph()
    for operation in plan.operations:
        graph.add_node(operation.id, operation=operation)
        graph.add_edges_from((need, operation.id) for need in operation.depends_on)
    return graph
