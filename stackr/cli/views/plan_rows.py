"""The rows of a plan: one per resource from the start, done once all is that the plan does to it.

They stand in the order in which the resources are ready, so that what is waited for is above.
"""

from __future__ import annotations

from collections.abc import Iterator

from stackr.cli.views.layers import Layers
from stackr.cli.views.rows import Row, Rows, RowState
from stackr.cli.views.view import doing, done, resource_label
from stackr.planner.plan.model import Action, Operation, Plan

__all__ = ["PlanRows"]

_NAMED = 3
_STARTS = (Action.START_CONTAINER, Action.RESTART_CONTAINER, Action.UNPAUSE_CONTAINER)


class PlanRows(Rows):
    """Rows that know their operations. Times are seconds of one monotonic clock."""

    def __init__(self, plan: Plan | None = None) -> None:
        super().__init__()
        self._operations: dict[str, list[Operation]] = {}
        self._by_id: dict[int, Operation] = {}
        self._ended: set[int] = set()
        self._words: dict[str, str] = {}
        self._layers: dict[str, Layers] = {}
        for operation in plan.operations if plan is not None else ():
            self._by_id[operation.id] = operation
            self._operations.setdefault(resource_label(operation.resource), []).append(operation)
        for label in sorted(self._operations, key=lambda each: self._operations[each][-1].id):
            self.get(label)

    def begin(self, operation: Operation, now: float) -> None:
        self._row(operation).begin(doing(operation), now)

    def finish(self, operation: Operation, detail: str, now: float) -> None:
        """An operation has succeeded; the row is done with the last one of its resource."""
        self._ended.add(operation.id)
        label = resource_label(operation.resource)
        if operation is self._goal(label) or label not in self._words:
            self._words[label] = done(operation, detail)
        row = self._row(operation)
        if row.state in (RowState.FAILED, RowState.SKIPPED):
            return
        if self._left(label):
            row.text, row.state = "", RowState.WAITING
        else:
            word = self._words[label] if self._goal(label) else done(operation, detail)
            row.end(word, RowState.DONE, now)

    def fail(self, operation: Operation, text: str, state: RowState, now: float) -> None:
        """An operation has failed, or was skipped."""
        self._ended.add(operation.id)
        row, label = self._row(operation), resource_label(operation.resource)
        if state is RowState.SKIPPED and operation.is_optional and label in self._words:
            if not self._left(label):
                row.end(self._words[label], RowState.DONE, now)
        elif row.state is not RowState.FAILED:
            row.end(text, state, now)

    def tell(self, operation: Operation, text: str) -> None:
        """What is seen meanwhile: `starting`."""
        if text:
            self._row(operation).text = f"{doing(operation)} ({text})"

    def transfer(
        self, operation: Operation, layer: str, status: str, current: int, total: int, now: float
    ) -> None:
        """A layer of an image comes or goes."""
        row = self._row(operation)
        layers = self._layers.setdefault(row.label, Layers(doing(operation)))
        layers.take(layer, status, current, total)
        row.text = layers.phase
        row.transfer(now, *layers.amount)

    def close(self, now: float) -> None:
        """The plan is over: what was not reached is told as such."""
        for row in self.by_key.values():
            if row.state in (RowState.WAITING, RowState.WORKING):
                row.end("Not done", RowState.SKIPPED, now)

    def refresh(self) -> None:
        """Say of each row that waits what it waits for."""
        for label, row in self.by_key.items():
            if row.state is RowState.WAITING:
                row.text = self._waits(label)

    def _row(self, operation: Operation) -> Row:
        return self.get(resource_label(operation.resource))

    def _left(self, label: str) -> list[Operation]:
        return [each for each in self._operations.get(label, ()) if each.id not in self._ended]

    def _goal(self, label: str) -> Operation | None:
        """The operation whose word is the resource's state at the end: a wait, a start, a step."""
        operations = self._operations.get(label, ())
        for actions in ((Action.WAIT_FOR,), _STARTS, (Action.RUN_STEP,)):
            found = [each for each in operations if each.action in actions]
            if found:
                return found[-1]
        return None

    def _waits(self, label: str) -> str:
        """`waits for auth, db`; "" for what is next."""
        left = self._left(label)
        names = list(dict.fromkeys(self._needs(left[0]))) if left else []
        if not names:
            return ""
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return f"waits for {', '.join(names[:_NAMED])}{more}"

    def _needs(self, operation: Operation) -> Iterator[str]:
        for id in operation.depends_on:
            need = self._by_id.get(id)
            if need is not None and id not in self._ended and need.resource != operation.resource:
                resource = need.resource
                is_step = need.action is Action.RUN_STEP
                yield (not is_step and resource.service) or f"{resource.kind} {resource.name}"
