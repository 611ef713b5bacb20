"""What a change of each attribute of a service does, as docs/diff.md lists it.

Nothing is decided here: the planner's own rules (`config_hash`, `limits`, `desired`) and the
specification's (`spec.support`) are asked about every attribute that a service has.
`python -m stackr.planner.effects` writes the page's table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from stackr.planner.config_hash import NOT_IN_CONTAINER
from stackr.planner.desired import IN_EXTENSION
from stackr.planner.limits import changes_in_place
from stackr.planner.observed import told_dependencies
from stackr.runtime.types import Capabilities
from stackr.spec.declared import SERVICE
from stackr.spec.decode import EXTENSION, Kind, ListOf, MapOf, Struct, Ulimit
from stackr.spec.model.extension import ServiceExtension
from stackr.spec.support import SUPPORT, State

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
_SCALES = ("scale", "deploy.replicas")
_RESOLVED = ("env_file", "label_file", "extends")
"""Attributes that are gone once a stack is loaded."""
_TOLD_ONCE = (Effect.NONE, Effect.REFUSED, Effect.RESOLVED)
_NOT_WRITTEN = {
    *("deploy.resources.limits.devices", "deploy.resources.limits.generic_resources"),
    "deploy.resources.reservations.pids",
}
"""The model has them; the specification's schema does not."""
_NOTES = {
    "image": "and where the same name is another image now",
    "depends_on": "what containers record for `stop` and `down`",
    "depends_on.*.condition": "what containers record for `stop` and `down`",
    "depends_on.*.restart": "what containers record for other tools",
    "depends_on.*.required": "counts at the next start",
    "post_start": "the new container runs the new hooks",
    "pre_stop": "what containers record for their stop",
    "profiles": "what is up of a service that is not selected any more stays up",
    f"{EXTENSION}.ready_timeout": "counts at the next `up`",
    f"{EXTENSION}.stateful": "it is about the plan's risks",
}
"""What the rules themselves do not say."""


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
        if above + name not in _NOT_WRITTEN:
            yield from _of_kind(above + name, field.kind)


def _of_kind(path: str, kind: Kind) -> Iterator[Row]:
    """Rows of an attribute and of what is below it; of a list or map, one for its entries too."""
    is_many = isinstance(kind, (ListOf, MapOf))
    struct = kind.entry if isinstance(kind, (ListOf, MapOf)) else kind
    if not isinstance(struct, Struct) or isinstance(struct, Ulimit):
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
    support = _longest(SUPPORT, f"services.*.{path}")
    if support is not None and SUPPORT[support].state is State.NO:
        is_everywhere = SUPPORT[support].is_everywhere
        docker = Effect.REFUSED if is_everywhere else docker
        return Row(path, Effect.REFUSED, docker, SUPPORT[support].note)
    reason = NOT_IN_CONTAINER.get(_longest(NOT_IN_CONTAINER, path) or "", "")
    return Row(path, embedded, docker, _NOTES.get(path, reason))


def _longest(patterns: Mapping[str, object], path: str) -> str | None:
    """The pattern that names the path or what is nearest above it."""
    while path not in patterns:
        path, dot, _ = path.rpartition(".")
        if not dot:
            return None
    return path


def _effect(path: str, engine: Capabilities) -> Effect:
    top, last = path.partition(".")[0], path.rpartition(".")[2]
    if path in _SCALES:
        return Effect.SCALE
    if top in _RESOLVED:
        return Effect.RESOLVED
    if top == EXTENSION:
        return Effect.RECREATE if last in IN_EXTENSION else Effect.NONE
    if top == "depends_on":
        is_told = path == top or last in told_dependencies("name")["name"]
        return Effect.IN_PLACE if is_told and engine.update_labels else Effect.NONE
    if _longest(NOT_IN_CONTAINER, path):
        return Effect.NONE
    return Effect.IN_PLACE if engine.update_labels and changes_in_place(path) else Effect.RECREATE


if __name__ == "__main__":
    sys.stdout.write(table())
