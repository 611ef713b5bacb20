"""One stack on two kinds of engine: what each attribute means here and there. Pure.

Kinds are those of `spec.support`: embedded, docker (any Docker Engine of one host), and the
dialects of `planner.dialects`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from stackr.planner.dialects import NEWEST, dialect_of
from stackr.planner.plan.model import Source
from stackr.planner.review.provenance import source_of
from stackr.runtime.workloads import WorkloadCapabilities
from stackr.spec.attribute import Elsewhere, State, Support
from stackr.spec.declared import marked
from stackr.spec.model.project import Project
from stackr.spec.rules import Path, show
from stackr.spec.support import SUPPORT, is_refused, set_values, support_by

__all__ = ["DOCKER", "EMBEDDED", "Meaning", "Row", "compare_engines"]

EMBEDDED = "embedded"
DOCKER = "docker"
_KEPT = Support(State.YES)


class Meaning(Enum):
    """What becomes of an attribute, the worst first; the value is its word in JSON."""

    REFUSED = "refused"
    DIFFERENT = "differently"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Row:
    """An attribute that the stack sets. here, there: what the engines do with it, in words."""

    path: str
    meaning: Meaning
    here: str = ""
    there: str = ""
    source: Source | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "meaning": self.meaning.value,
            "here": self.here,
            "there": self.there,
            "source": self.source.to_json() if self.source is not None else None,
        }


def compare_engines(
    project: Project, here: str, there: str, capabilities: WorkloadCapabilities | None = None
) -> tuple[Row, ...]:
    """The attributes that the enabled services, and what they use, set: by path.

    here, there: kinds of engines. capabilities: of the one there, where it takes documents; None
    for the newest.
    """
    found = {row.path: row for row in _rows(project, _Kind.of(here), _Kind.of(there))}
    if there not in (EMBEDDED, DOCKER):
        dialect = dialect_of(there)
        for path, one, other in dialect.unwritten(project):
            source = source_of(project, path)
            found.setdefault(path, Row(path, Meaning.DIFFERENT, one, other, source))
        for path, why in dialect.refusals(project, capabilities or NEWEST):
            told = f"{State.NO.value}: {why}"
            found[path] = Row(path, Meaning.REFUSED, "", told, source_of(project, path))
    bad = [path for path, row in found.items() if row.meaning is Meaning.REFUSED]
    return tuple(
        found[path]
        for path in sorted(found, key=_natural)
        if found[path].meaning is not Meaning.KEPT
        or not any(each.startswith((f"{path}.", f"{path}[")) for each in bad)
    )


def _natural(path: str) -> list[tuple[int, str]]:
    """Sorts `ports[10]` after `ports[9]`."""
    parts = path.replace("[", ".").replace("]", "").split(".")
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of engine. told: what is known of it alone, in words that are about meaning."""

    support: Mapping[str, Support]
    told: Mapping[str, str]

    @classmethod
    def of(cls, kind: str) -> _Kind:
        if kind == EMBEDDED:
            return cls(SUPPORT, {})
        if kind == DOCKER:  # one host has no use for what only a cluster has
            inert = {at: row for at, row in SUPPORT.items() if row.state is State.NO_EFFECT}
            return cls({**support_by(kind), **inert}, {})
        marks = ((at, mark.support.get(kind)) for at, mark in marked(Elsewhere).items())
        told = {at: row.note for at, row in marks if row is not None and row.state is State.YES}
        return cls(support_by(kind), told)

    def does(self, pattern: str, value: Any) -> State:
        support = self.support.get(pattern, _KEPT)
        if is_refused(support, value):
            return State.NO
        return State.NO_EFFECT if support.state is State.NO_EFFECT else State.YES

    def words(self, pattern: str, value: Any) -> str:
        """`yes`, `no effect: of a cluster`, `refused: use cpus`."""
        state = self.does(pattern, value)
        note = self.told.get(pattern, "")
        if state is not State.YES:
            note = self.support.get(pattern, _KEPT).note
        return f"{state.value}: {note}" if note else state.value


def _rows(project: Project, here: _Kind, there: _Kind) -> Iterator[Row]:
    for pattern in sorted({*here.support, *there.support}):
        for path, value in set_values(project, pattern):
            meaning = _meaning(pattern, value, here, there)
            if meaning is not Meaning.KEPT or _is_told(project, path):
                one, other = here.words(pattern, value), there.words(pattern, value)
                yield Row(show(path), meaning, one, other, source_of(project, path))


def _meaning(pattern: str, value: Any, here: _Kind, there: _Kind) -> Meaning:
    one, other = here.does(pattern, value), there.does(pattern, value)
    if other is State.NO:
        return Meaning.REFUSED
    is_same = one is other and here.told.get(pattern, "") == there.told.get(pattern, "")
    return Meaning.KEPT if is_same else Meaning.DIFFERENT


def _is_told(project: Project, path: Path) -> bool:
    """Of what is the same on both: an attribute of a service or another resource, if written."""
    found = project.provenance(path) if len(path) == _ATTRIBUTE else None
    return found is not None and bool(found.line)


_ATTRIBUTE = 3
"""How deep `services.web.image` is."""
