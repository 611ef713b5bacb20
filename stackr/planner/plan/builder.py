"""Collects operations and their order, then numbers them so that each follows what it needs.

Operations are known by their place of entry until `plan` numbers them; of those that are free to
go, the one entered first gets the lower number, so the same entries give the same plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from stackr.errors import Internal, InvalidArgument
from stackr.planner.plan.graph import digraph, in_order, leads_to
from stackr.planner.plan.model import Action, Change, Operation, Plan, Resource, Risk
from stackr.planner.plan.payloads import Payload

__all__ = ["Builder", "Entry"]

Entry = int


class Builder:
    def __init__(self, project: str) -> None:
        self._project = project
        self._operations: list[Operation] = []
        self._graph = digraph(dict[Entry, set[Entry]]())
        self.changes: list[Change] = []
        self.warnings: list[str] = []
        self.unchanged = 0
        self.risks: tuple[Risk, ...] = ()

    def add(
        self,
        action: Action,
        resource: Resource,
        cause: str,
        payload: Payload,
        after: Iterable[Entry] = (),
        *,
        is_optional: bool = False,
    ) -> Entry:
        """Enter an operation that follows those in `after`."""
        entry = len(self._operations)
        self._operations.append(
            Operation(entry, action, resource, cause, payload, is_optional=is_optional)
        )
        self._graph.add_node(entry)
        self.order(entry, after)
        return entry

    def order(self, entry: Entry, after: Iterable[Entry]) -> None:
        """Let an operation follow more than it was entered with."""
        self._graph.add_edges_from((each, entry) for each in after)

    def leads_to(self, entry: Entry, others: Iterable[Entry]) -> bool:
        """Whether any of the others follows the entry, by whatever lies between them."""
        return leads_to(self._graph, entry, others)

    def ends(self, but: Collection[Entry]) -> list[Entry]:
        """The entries, other than those in `but`, that none of them follows."""
        rest = self._graph.subgraph(self._graph.nodes - set(but))
        return sorted(entry for entry, followers in rest.out_degree if not followers)

    def plan(self) -> Plan:
        """Raises Internal for a cycle, which is a defect of whoever entered it."""
        numbers = self._numbers()
        return Plan(
            project=self._project,
            operations=tuple(self._numbered(entry, numbers) for entry in numbers),
            changes=tuple(self.changes),
            warnings=tuple(self.warnings),
            unchanged=self.unchanged,
            risks=self.risks,
        )

    def _numbers(self) -> dict[Entry, int]:
        """The number of each entry, in the order of the numbers."""
        try:
            order = in_order(self._graph, lambda entry: str(self._operations[entry].resource))
        except InvalidArgument as error:
            raise Internal(f"plan: {error}") from error
        return {entry: number for number, entry in enumerate(order, 1)}

    def _numbered(self, entry: Entry, numbers: Mapping[Entry, int]) -> Operation:
        operation = self._operations[entry]
        return Operation(
            id=numbers[entry],
            action=operation.action,
            resource=operation.resource,
            cause=operation.cause,
            payload=operation.payload,
            depends_on=tuple(sorted(numbers[need] for need in self._graph.predecessors(entry))),
            is_optional=operation.is_optional,
        )
