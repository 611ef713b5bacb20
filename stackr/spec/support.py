"""What of a stack file the embedded engine honours, as one table: SUPPORT.

`unsupported` refuses, by name, what is set and not honoured; `table` is docs/compose.md's table,
which `python -m stackr.spec.support` writes. Attributes say it with a mark, see
`stackr.spec.attribute.Support`; those of services and of the other sections have a row without.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from stackr.spec.attribute import Since, State, Support
from stackr.spec.declared import WITHOUT_FIELD, attributes, marked
from stackr.spec.model.project import Project
from stackr.spec.problems import Problem
from stackr.spec.rules import ANY, ITEM, Path, show

__all__ = ["SUPPORT", "State", "table", "unsupported"]

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

_EMPTY: tuple[object, ...] = (None, "", 0, False, (), {})


def unsupported(project: Project, *, embedded: bool = True) -> list[Problem]:
    """What a project sets and the engine does not honour; [] if there is nothing.

    embedded: it is stackr's own. Each reads `file:line:column: path: message`. Only enabled
    services count.
    """
    found = []
    for pattern, row in SUPPORT.items():
        if row.is_everywhere or (embedded and row.state in (State.NO, State.PARTLY)):
            for path, value in _values(project, pattern.split("."), ()):
                if _is_refused(project, path, value, row):
                    found.append(_problem(project, path, row))
    return found


def _is_refused(project: Project, path: Path, value: Any, row: Support) -> bool:
    if value in _EMPTY:
        return False
    return row.state is State.NO or (row.refuses is not None and row.refuses(value))


def _problem(project: Project, path: Path, row: Support) -> Problem:
    place = project.position(show(path))
    where = f"{place}: " if place is not None else ""
    reason = f": {row.note}" if row.note else ""
    by = "" if row.is_everywhere else " by the embedded engine"
    text = f"{where}{show(path)}: not supported{by}{reason}"
    return Problem.of(text, hint=None, snippet="")


def _values(value: Any, pattern: list[str], path: Path) -> Iterator[tuple[Path, Any]]:
    """The values of a model that a pattern names."""
    if not pattern:
        yield path, value
    elif pattern[0] != "*":
        below = getattr(value, pattern[0], None)
        if below is not None:
            yield from _values(below, pattern[1:], (*path, pattern[0]))
    else:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in items:
            yield from _values(entry, pattern[1:], (*path, key))


def table() -> str:
    """The table of docs/compose.md, in Markdown; with a version, attributes of attributes, too."""
    versions = marked(Since)
    rows = [
        "| attribute | supported | since Compose | notes |",
        "| --- | --- | --- | --- |",
    ]
    for pattern in sorted({*SUPPORT, *versions}):
        row = SUPPORT.get(pattern, _YES)
        version = versions[pattern].version if pattern in versions else ""
        rows.append(f"| `{pattern}` | {row.state.value} | {version} | {row.note} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
