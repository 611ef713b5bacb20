"""The same change of many, told once: changes that differ only in whom they befall."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

from stackr.planner.plan.model import Change, FieldChange, Source

__all__ = ["ChangeGroup", "groups"]


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """changes: one at least; all of one kind, with the same cause and the same fields."""

    changes: tuple[Change, ...]

    @property
    def first(self) -> Change:
        return self.changes[0]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(change.resource.name for change in self.changes)

    @property
    def title(self) -> str:
        """`container shop-web-1`, `service web`, or `15 containers`."""
        resource = self.first.resource
        if len(self.changes) == 1:
            return f"{resource.kind} {resource.name}"
        if resource.service and len({c.resource.service for c in self.changes}) == 1:
            return f"service {resource.service}"
        return f"{len(self.changes)} {resource.kind}s"

    def sources(self, at: int) -> tuple[Source, ...]:
        """Where field number `at` of any of them is written, each place once, file by file."""
        found = (change.fields[at].source for change in self.changes)
        places = dict.fromkeys(source for source in found if source is not None)
        return tuple(sorted(places, key=lambda place: (place.file, place.line)))

    @property
    def places(self) -> tuple[Source, ...]:
        """Where the services, networks or volumes themselves are written."""
        found = (change.source for change in self.changes)
        return tuple(dict.fromkeys(source for source in found if source is not None))


def groups(changes: Iterable[Change]) -> list[ChangeGroup]:
    """In the order in which the first change of each comes."""
    found: dict[Hashable, list[Change]] = {}
    for change in changes:
        found.setdefault(_key(change), []).append(change)
    return [ChangeGroup(tuple(each)) for each in found.values()]


def _key(change: Change) -> Hashable:
    told = (change.kind, change.cause, change.origin, change.touched_by, change.rollout)
    fields = tuple(map(_field_key, change.fields))
    return change.resource.kind, *told, change.affects, fields


def _field_key(field: FieldChange) -> Hashable:
    values = json.dumps([field.old, field.new], sort_keys=True, ensure_ascii=False)
    return values, replace(field, old=None, new=None, source=None)
