"""What a change of each attribute of a service does, as docs/diff.md lists it.

Nothing is decided here: it is what attributes declare (`spec.attribute`), by which `config_hash`
and `limits` go, for an engine that changes what can be changed in place, and one that does not.
`python -m stackr.planner.change.effects` writes the page's table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from stackr.runtime.types import Capabilities
from stackr.spec.attribute import Effect as change
from stackr.spec.attribute import ModelOnly, OnChange, State
from stackr.spec.declared import SERVICE, nearest_mark, of_service
from stackr.spec.decode import EXTENSION, Kind, ListOf, MapOf, Struct, Ulimit
from stackr.spec.model.extension import ServiceExtension
from stackr.spec.support import SUPPORT

__all__ = ["Effect", "Row", "rows", "table"]


class Effect(Enum):
    """What happens to a service's containers."""

    RECREATE = "recreate"
    IN_PLACE = "in place"
    SCALE = "scale"
    NONE = "no effect"
    RESOLVED = "as what it brings"
    REFUSED = "refused"


class Row(NamedTuple):
    """An attribute by its path in a service, `*` for any item, and what a change of it does.

    embedded, docker: on stackr's own engine, and on a Docker Engine.
    """

    path: str
    embedded: Effect
    docker: Effect
    note: str = ""


_EMBEDDED = Capabilities(update_labels=True, update_lifts=True)
_DOCKER = Capabilities()
_TOLD_ONCE = (Effect.NONE, Effect.REFUSED, Effect.RESOLVED)
_MARKS = of_service(OnChange)
_HIDDEN = of_service(ModelOnly)
_OF_CONTAINER = (change.RECREATE, change.IN_PLACE)
_EFFECTS = {
    change.RECREATE: Effect.RECREATE,
    change.IN_PLACE: Effect.RECREATE,
    change.TOLD: Effect.NONE,
    change.SCALE: Effect.SCALE,
    change.RESOLVED: Effect.RESOLVED,
    change.NONE: Effect.NONE,
}
"""What a change does where an engine cannot make it in place."""


def rows() -> list[Row]:
    """One for each attribute, sorted by path; one for a whole section that never has an effect."""
    extended = ServiceExtension.model_fields
    found = list(_of_struct("", SERVICE))
    found += [_row(f"{EXTENSION}.{name}") for name in extended if name != "extensions"]
    return sorted(found, key=lambda row: row.path)


def table() -> str:
    """The table of docs/diff.md, in Markdown."""
    lines = ["| attribute | embedded engine | Docker Engine | notes |", "| --- | --- | --- | --- |"]
    for row in rows():
        effects = f"{row.embedded.value} | {row.docker.value}"
        lines.append(f"| `{row.path}` | {effects} | {row.note} |")
    return "\n".join(lines) + "\n"


def _of_struct(above: str, struct: Struct) -> Iterator[Row]:
    for name, field in struct.fields.items():
        if above + name not in _HIDDEN:
            yield from _of_kind(above + name, field.kind)


def _of_kind(path: str, kind: Kind) -> Iterator[Row]:
    """Rows of an attribute and of what is below it; of a list or map, one for its entries too."""
    is_many = isinstance(kind, (ListOf, MapOf))
    struct = kind.entry if isinstance(kind, (ListOf, MapOf)) else kind
    mark = _MARKS.get(path)
    is_inert = mark is not None and mark.effect is change.NONE
    if is_inert or not isinstance(struct, Struct) or isinstance(struct, Ulimit):
        yield _row(path)
        return
    below = list(_of_struct(f"{path}.*." if is_many else f"{path}.", struct))
    if len({row[1:3] for row in below}) == 1 and below[0].embedded in _TOLD_ONCE:
        yield _row(path)
        return
    if is_many:
        yield _row(path)
    yield from below


def _row(path: str) -> Row:
    embedded, docker = _effect(path, _EMBEDDED), _effect(path, _DOCKER)
    support = nearest_mark(SUPPORT, f"services.*.{path}")
    if support is not None and support.state is State.NO:
        docker = Effect.REFUSED if support.is_everywhere else docker
        return Row(path, Effect.REFUSED, docker, support.note)
    mark = nearest_mark(_MARKS, path)
    is_own = path in _MARKS or (mark is not None and mark.effect not in _OF_CONTAINER)
    return Row(path, embedded, docker, mark.why if mark is not None and is_own else "")


def _effect(path: str, engine: Capabilities) -> Effect:
    mark = nearest_mark(_MARKS, path)
    effect = change.RECREATE if mark is None else mark.effect
    if effect in (change.IN_PLACE, change.TOLD) and engine.update_labels:
        return Effect.IN_PLACE
    return _EFFECTS[effect]


if __name__ == "__main__":
    sys.stdout.write(table())
