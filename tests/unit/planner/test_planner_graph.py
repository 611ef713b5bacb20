"""Order, cycles, reach and the longest path; and a plan as a graph that nobody changes."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networkx import NetworkXError
from planning import needs, plan_for, service, stack

from stackr.errors import Internal, InvalidArgument
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.builder import Builder
from stackr.planner.plan.graph import closure, digraph, longest_path, topological_order
from stackr.planner.plan.model import Action, Operation, Plan, Resource
from stackr.planner.plan.payloads import StartContainer

NOTHING = Observed("demo")
WEB, DB = Resource("container", "demo-web-1"), Resource("container", "demo-db-1")


def started(id: int, *after: int) -> Operation:
    return Operation(id, Action.START_CONTAINER, WEB, "created", StartContainer("web"), after)


def test_order_is_alphabetical_where_free() -> None:
    needed: dict[str, list[str]] = {"c": ["a"], "a": [], "b": [], "d": ["missing"]}
    assert topological_order(needed) == ["a", "b", "c", "d"]


def test_the_way_around_a_cycle_does_not_depend_on_the_order_of_its_names() -> None:
    edges = [("c", ["a"]), ("a", ["b", "d"]), ("b", ["c"]), ("d", ["a"]), ("e", ["a"])]
    for order in permutations(edges):
        with pytest.raises(InvalidArgument, match=r"detected: a -> b -> c -> a$"):
            topological_order(dict(order))
    with pytest.raises(InvalidArgument, match=r"detected: a -> a$"):
        topological_order({"b": ["a"], "a": ["a"]})


def test_long_chains_have_an_order() -> None:
    chain = {f"s{n:04}": [f"s{n - 1:04}"] if n else [] for n in range(3000)}
    assert topological_order(chain) == sorted(chain)
    assert closure(["s2999"], chain) == chain.keys()


def test_closure() -> None:
    assert closure({"a"}, {"a": ["b"], "b": ["c"], "d": []}) == {"a", "b", "c"}
    assert closure(["x"], {"a": ["x"]}) == {"x"}
    assert closure([], {"a": ["b"]}) == set()


def test_the_longest_path_is_the_dearest_not_the_one_of_most_nodes() -> None:
    graph = digraph({"a": [], "b": ["a"], "c": ["b"], "dear": [], "end": ["c", "dear"]})
    costs = {"a": 1.0, "b": 1.0, "c": 1.0, "dear": 4.0, "end": 0.5}
    assert longest_path(graph, costs) == ["dear", "end"]
    assert longest_path(graph, costs | {"a": 2.5}) == ["a", "b", "c", "end"]
    assert longest_path(digraph({"a": []}), {"a": 1}) == ["a"]
    assert longest_path(digraph(dict[str, list[str]]()), {}) == []


@given(st.lists(st.sets(st.integers(1, 11)), max_size=12))
def test_a_plans_graph_has_its_operations_and_their_order(after: list[set[int]]) -> None:
    operations = tuple(
        started(id, *sorted(need for need in needed if need < id))
        for id, needed in enumerate(after, 1)
    )
    graph = Plan("demo", operations).graph
    assert [graph.nodes[id]["operation"] for id in graph] == list(operations)
    assert {o.id: tuple(sorted(graph.predecessors(o.id))) for o in operations} == {
        o.id: o.depends_on for o in operations
    }


def test_a_plans_graph_cannot_be_changed() -> None:
    plan = plan_for(stack({"web": service(depends_on=needs("db")), "db": service()}), NOTHING)
    with pytest.raises(NetworkXError):
        plan.graph.add_edge(1, 2)
    with pytest.raises(NetworkXError):
        plan.graph.remove_node(1)
    assert replace(plan, unchanged=1).graph is not plan.graph
    assert replace(plan) == plan


@pytest.mark.parametrize("after", [2, 3, 1])
def test_an_operation_follows_only_those_before_it(after: int) -> None:
    with pytest.raises(Internal, match="operation 1 follows one that is not before it"):
        Plan("demo", (started(1, after), started(2)))


def test_entries_that_wait_for_each_other_are_named() -> None:
    builder = Builder("demo")
    start = StartContainer("web")
    first = builder.add(Action.START_CONTAINER, WEB, "created", start)
    second = builder.add(Action.START_CONTAINER, DB, "created", start, [first])
    builder.order(first, [second])
    with pytest.raises(Internal, match="container:demo-web-1 -> container:demo-db-1 -> "):
        builder.plan()
