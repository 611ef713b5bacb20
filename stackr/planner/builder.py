"""Collects operations and their order, then numbers them so that each follows what it needs.

Operations are known by their place of entry until `plan` numbers them; of those that are free to
go, the one entered first gets the lower number, so the same entries give the same plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from heapq import heapify, heappop, heappush

from stackr.errors import Internal
from stackr.planner.payloads import Payload
from stackr.planner.plan import Action, Change, Operation, Plan, Resource, Risk

__all__ = ["Builder", "Entry"]

Entry = int


class Builder:
    def __init__(self, project: str) -> None:
        self._project = project
        self._operations: list[Operation] = []
        self._needs: list[set[Entry]] = []
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
        self._needs.append(set(after))
        return entry

    def order(self, entry: Entry, after: Iterable[Entry]) -> None:
        """Let an operation follow more than it was entered with."""
        self._needs[entry].update(after)

    def ends(self, but: Collection[Entry]) -> list[Entry]:
        """The entries, other than those in `but`, that none of them follows."""
        others = set(but)
        needed = {n for e, needs in enumerate(self._needs) if e not in others for n in needs}
        return [e for e in range(len(self._operations)) if e not in needed and e not in others]

    def plan(self) -> Plan:
        """Raises Internal for a cycle, which is a defect of whoever entered it."""
        numbers = self._numbers()
        operations: list[Operation] = [None] * len(numbers)  # type: ignore[list-item]
        for entry, operation in enumerate(self._operations):
            operations[numbers[entry] - 1] = Operation(
                id=numbers[entry],
                action=operation.action,
                resource=operation.resource,
                cause=operation.cause,
                payload=operation.payload,
                depends_on=tuple(sorted(numbers[need] for need in self._needs[entry])),
                is_optional=operation.is_optional,
            )
        return Plan(
            project=self._project,
            operations=tuple(operations),
            changes=tuple(self.changes),
            warnings=tuple(self.warnings),
            unchanged=self.unchanged,
            risks=self.risks,
        )

    def _numbers(self) -> dict[Entry, int]:
        waiting = {entry: len(needs) for entry, needs in enumerate(self._needs)}
        dependents: dict[Entry, list[Entry]] = {entry: [] for entry in waiting}
        for entry, needs in enumerate(self._needs):
            for need in needs:
                dependents[need].append(entry)
        free = [entry for entry, missing in waiting.items() if not missing]
        heapify(free)
        numbers: dict[Entry, int] = {}
        while free:
            entry = heappop(free)
            numbers[entry] = len(numbers) + 1
            for dependent in dependents[entry]:
                waiting[dependent] -= 1
                if not waiting[dependent]:
                    heappush(free, dependent)
        if len(numbers) < len(waiting):
            stuck = [str(self._operations[e].resource) for e in waiting if e not in numbers]
            raise Internal(f"plan: operations wait for each other: {', '.join(stuck)}")
        return numbers
