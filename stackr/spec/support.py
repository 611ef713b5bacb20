"""What of a stack file the embedded engine honours, as one table: SUPPORT; other engines differ.

`unsupported` and `unsupported_by` refuse, by name, what is set and not honoured; `table` is
docs/compose.md's table, which `python -m stackr.spec.support` writes. Attributes say it with marks,
see `stackr.spec.attribute.Support` and `Elsewhere`; those of services and of the other sections
have a row without.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar

from stackr.spec.attribute import Elsewhere, Since, State, Support
from stackr.spec.declared import WITHOUT_FIELD, attributes, marked
from stackr.spec.model.base import Model, given
from stackr.spec.model.project import Project
from stackr.spec.problems import Problem
from stackr.spec.rules import ANY, ITEM, Branch, Path, show
from stackr.spec.rules import table as tree_of

__all__ = [
    "SUPPORT",
    "State",
    "is_refused",
    "set_values",
    "support_by",
    "table",
    "unsupported",
    "unsupported_by",
]

Rule = TypeVar("Rule")

_YES = Support(State.YES)


def _rows() -> Iterator[tuple[str, Support]]:
    refused = set()
    for attribute in attributes():
        pattern = attribute.pattern.replace(ITEM, ANY)
        section, *below = pattern.split(".")
        mark = next((mark for mark in attribute.marks if isinstance(mark, Support)), None)
        if mark is None and len(below) in (0, 2) and section not in refused:
            mark = _YES
        if mark is not None:
            yield pattern, mark
            if not below and mark.state is State.NO:
                refused.add(section)


SUPPORT: Mapping[str, Support] = {**dict(_rows()), **WITHOUT_FIELD}
"""Pattern of a path -> what the embedded engine does with the attribute."""


def support_by(dialect: str) -> Mapping[str, Support]:
    """The same of another engine; what is not told of it, it honours if anybody does."""
    told = {at: mark.support.get(dialect) for at, mark in marked(Elsewhere).items()}
    by_all = {at: row if row.is_everywhere else _YES for at, row in SUPPORT.items()}
    return {
        **by_all,
        **{at: row for at, row in told.items() if row is not None},
        **WITHOUT_FIELD,
    }


_EMPTY: tuple[object, ...] = (None, "", 0, False, (), {})


def unsupported(project: Project, *, embedded: bool = True) -> list[Problem]:
    """What a project sets and the engine does not honour; [] if there is nothing.

    embedded: it is stackr's own. Each reads `file:line:column: path: message`. Only enabled
    services count.
    """
    found = _refused(project, _refusing("" if embedded else _ANY_ENGINE))
    return [_problem(project, path, row) for path, row in found]


def unsupported_by(project: Project, dialect: str, engine: str) -> list[Problem]:
    """What a project sets and another engine does not honour; engine: as a message names it."""
    found = _refused(project, _refusing(dialect))
    return [_problem(project, path, row, engine) for path, row in found]


_Refusing = Branch[tuple[int, Support]]
"""The rows that may refuse a value, each with its place among them: problems are told by it."""
_ANY_ENGINE = "*"


@cache
def _refusing(dialect: str) -> _Refusing:
    """dialect: "" for the embedded engine's, `_ANY_ENGINE` for what none honours."""
    if dialect == _ANY_ENGINE:
        rows = {pattern: row for pattern, row in SUPPORT.items() if row.is_everywhere}
    else:
        known = support_by(dialect) if dialect else SUPPORT
        rows = {
            pattern: row
            for pattern, row in known.items()
            if row.state in (State.NO, State.PARTLY) or (row.is_everywhere and not dialect)
        }
    return tree_of({pattern: (place, row) for place, (pattern, row) in enumerate(rows.items())})


def _refused(project: Project, refusing: _Refusing) -> list[tuple[Path, Support]]:
    found = [
        (place, path, row)
        for path, value, (place, row) in _ruled(project, refusing, ())
        if is_refused(row, value)
    ]
    found.sort(key=itemgetter(0))
    return [(path, row) for _, path, row in found]


def _ruled(value: Any, branch: Branch[Rule], path: Path) -> Iterator[tuple[Path, Any, Rule]]:
    """The values, at and below this one, that a rule speaks of; what is not set says nothing."""
    if value is None:
        return
    if branch.rule is not None:
        yield path, value, branch.rule
    if branch.wildcard is not None:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in items:
            yield from _ruled(entry, branch.wildcard, (*path, key))
    elif branch.children and isinstance(value, Model):
        for name in branch.children.keys() & value.model_fields_set:
            yield from _ruled(getattr(value, name), branch.children[name], (*path, name))


def is_refused(row: Support, value: Any) -> bool:
    """Whether an engine with this support refuses a value; one that says nothing never is."""
    if value in _EMPTY:
        return False
    return row.state is State.NO or (row.refuses is not None and row.refuses(value))


def set_values(project: Project, pattern: str) -> Iterator[tuple[Path, Any]]:
    """What of a project's attributes of this pattern says anything, each with its path."""
    for path, value in _values(project, pattern.split("."), ()):
        says = any(given(value)) if isinstance(value, Model) else value not in _EMPTY
        if says:
            yield path, value


def _problem(
    project: Project, path: Path, row: Support, engine: str = "the embedded engine"
) -> Problem:
    place = project.position(show(path))
    where = f"{place}: " if place is not None else ""
    reason = f": {row.note}" if row.note else ""
    by = "" if row.is_everywhere else f" by {engine}"
    text = f"{where}{show(path)}: not supported{by}{reason}"
    return Problem.of(text, hint=None, snippet="")


def _values(value: Any, pattern: list[str], path: Path) -> Iterator[tuple[Path, Any]]:
    """The values of a model that a pattern names."""
    for place, name in enumerate(pattern, 1):
        if name == "*":
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, entry in items:
                yield from _values(entry, pattern[place:], (*path, key))
            return
        value, path = getattr(value, name, None), (*path, name)
        if value is None:
            return
    yield path, value


def table() -> str:
    """The table of docs/compose.md, in Markdown; with a version, attributes of attributes, too."""
    versions = marked(Since)
    rows = [
        "| attribute | supported | since Compose | notes | on a Swarm |",
        "| --- | --- | --- | --- | --- |",
    ]
    on_swarm = support_by("swarm")
    for pattern in sorted({*SUPPORT, *versions, *on_swarm}):
        row, there = SUPPORT.get(pattern, _YES), on_swarm.get(pattern, _YES)
        version = versions[pattern].version if pattern in versions else ""
        rows.append(
            f"| `{pattern}` | {row.state.value} | {version} | {row.note} | {_in_words(there)} |"
        )
    return "\n".join(rows) + "\n"


def _in_words(row: Support) -> str:
    return f"{row.state.value}: {row.note}" if row.note else row.state.value


if __name__ == "__main__":
    sys.stdout.write(table())
