"""Directed graphs: order, cycles, reach and longest path. The algorithms are networkx's.

Only names and edges are known here, not what they stand for. An edge leads from what is needed to
what needs it: the way in which work goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from itertools import chain
from typing import Any, TypeVar

import networkx

from stackr.errors import InvalidArgument

__all__ = [
    "closure",
    "digraph",
    "generations",
    "in_order",
    "leads_to",
    "longest_path",
    "topological_order",
]

_Node = TypeVar("_Node", bound=Hashable)


def digraph(needs: Mapping[_Node, Iterable[_Node]]) -> networkx.DiGraph[_Node]:
    """A node for each name, and an edge to it from each that it needs."""
    graph: networkx.DiGraph[_Node] = networkx.DiGraph()
    graph.add_nodes_from(needs)
    graph.add_edges_from((need, name) for name, needed in needs.items() for need in needed)
    return graph


def topological_order(needs: Mapping[str, Collection[str]]) -> list[str]:
    """Names, each after all that it needs; of those that are free, the alphabetically first.

    needs: every name with what it needs; a needed name that is no key is left out.
    Raises InvalidArgument that shows the way around, for a cycle.
    """
    return in_order(
        digraph({name: [n for n in needed if n in needs] for name, needed in needs.items()})
    )


def in_order(graph: networkx.DiGraph[_Node], name_of: Callable[[_Node], str] = str) -> list[_Node]:
    """Nodes, each after all that it needs; of those that are free, the least one first.

    name_of: what a message calls a node.
    Raises InvalidArgument that shows the way around, for a cycle.
    """
    try:
        return list(networkx.lexicographical_topological_sort(graph))
    except networkx.NetworkXUnfeasible as error:
        way = " -> ".join(map(name_of, _way_around(graph)))
        raise InvalidArgument(f"dependency cycle detected: {way}") from error


def _way_around(graph: networkx.DiGraph[Any]) -> list[Any]:
    """A cycle from its least node, each followed by one that it needs, back to the first.

    The same cycle in each run, in whatever order the edges were entered.
    """
    needs: networkx.DiGraph[Any] = networkx.DiGraph()
    needs.add_edges_from(sorted((node, need) for need, node in graph.edges))
    ring = [node for node, _ in networkx.find_cycle(needs)]
    first = ring.index(min(ring))
    return [*ring[first:], *ring[:first], ring[first]]


def generations(graph: networkx.DiGraph[_Node]) -> list[list[_Node]]:
    """The nodes, each in the first generation after all that lead to it.

    Raises InvalidArgument that shows the way around, for a cycle.
    """
    try:
        return [list(each) for each in networkx.topological_generations(graph)]
    except networkx.NetworkXUnfeasible as error:
        way = " -> ".join(map(str, _way_around(graph)))
        raise InvalidArgument(f"dependency cycle detected: {way}") from error


def leads_to(graph: networkx.DiGraph[_Node], node: _Node, others: Iterable[_Node]) -> bool:
    """Whether any of the others needs the node, whatever lies between them."""
    return not networkx.descendants(graph, node).isdisjoint(others)


def closure(names: Iterable[str], needs: Mapping[str, Iterable[str]]) -> set[str]:
    """The names and, transitively, all that they need."""
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_edges_from((name, need) for name, needed in needs.items() for need in needed)
    first = list(names)
    graph.add_nodes_from(first)
    return set(chain.from_iterable(networkx.bfs_layers(graph, first)))


def longest_path(graph: networkx.DiGraph[_Node], costs: Mapping[_Node, float]) -> list[_Node]:
    """The path whose nodes cost most, all in all; costs are not negative. Without a cycle only."""
    begin = object()
    weighted: networkx.DiGraph[Any] = networkx.DiGraph()
    weighted.add_node(begin)
    for node, cost in costs.items():
        before: list[Any] = list(graph.predecessors(node)) or [begin]
        weighted.add_edges_from(((each, node) for each in before), weight=cost)
    return networkx.dag_longest_path(weighted)[1:]
