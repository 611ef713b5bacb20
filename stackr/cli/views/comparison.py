"""What a stack means on two engines, for people: what is refused first, the same of many once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from stackr.cli.views.output import Output
from stackr.planner.review.portability import Meaning, Row

__all__ = ["comparison_json", "comparison_lines"]

_MARKS = {
    Meaning.REFUSED: ("!", "red"),
    Meaning.DIFFERENT: ("~", "yellow"),
    Meaning.KEPT: ("=", "dim"),
}
_SAME = "yes"


def comparison_json(project: str, here: str, there: str, rows: tuple[Row, ...]) -> dict[str, Any]:
    return {
        "project": project,
        "from": here,
        "to": there,
        "summary": _counts(rows),
        "attributes": [row.to_json() for row in rows],
    }


def comparison_lines(
    project: str, here: str, there: str, rows: tuple[Row, ...], output: Output, *, detail: bool
) -> Iterator[str]:
    """detail: also what is the same on both."""
    counts = ", ".join(f"{count} {word}" for word, count in _counts(rows).items())
    yield output.paint(f"{project}: from {here} to {there}: {counts or 'nothing is set'}", "bold")
    for meaning in Meaning:
        if meaning is Meaning.KEPT and not detail:
            return
        for group in _groups(row for row in rows if row.meaning is meaning):
            yield from _group_lines(group, here, there, output)


def _counts(rows: Iterable[Row]) -> dict[str, int]:
    counts = {meaning.value: 0 for meaning in Meaning}
    for row in rows:
        counts[row.meaning.value] += 1
    return {word: count for word, count in counts.items() if count}


def _groups(rows: Iterable[Row]) -> list[list[Row]]:
    """Those of which the same is to be said."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        attribute = row.path.split(".", 2)[-1]
        found.setdefault((attribute, row.here, row.there), []).append(row)
    return [*found.values()]


def _group_lines(rows: list[Row], here: str, there: str, output: Output) -> Iterator[str]:
    first = rows[0]
    mark, colour = _MARKS[first.meaning]
    yield ""
    for row in rows:
        source = output.paint(f"  {row.source}", "dim") if row.source is not None else ""
        yield f"{output.paint(f'{mark} {row.path}', colour)}{source}"
    for engine, words in ((here, first.here), (there, first.there)):
        if words not in ("", _SAME):
            yield f"    {engine}: {words.removeprefix(f'{_SAME}: ')}"
