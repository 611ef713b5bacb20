"""Processes of containers, one row each, as `docker compose top` lists them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stackr.cli.views.table import table

__all__ = ["Processes", "processes_json", "processes_table"]

_COMMAND = "CMD"
_MISSING = "-"


@dataclass(frozen=True, slots=True)
class Processes:
    """One container's: rows have as many cells as there are titles. number: "" for a one-off."""

    service: str
    number: str
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def processes_json(containers: Sequence[Processes]) -> list[str]:
    """One object a container: `service`, `number` and its `processes` by title."""
    return [
        json.dumps(
            {
                "service": each.service,
                "number": int(each.number or 0),
                "processes": [dict(zip(each.titles, row, strict=False)) for row in each.rows],
            }
        )
        for each in containers
    ]


def processes_table(containers: Sequence[Processes]) -> list[str]:
    """The lines, the command last; none where nothing runs."""
    found = list(dict.fromkeys(title for each in containers for title in each.titles))
    titles = [title for title in found if title != _COMMAND]
    titles += [_COMMAND] if _COMMAND in found else []
    rows = [
        (each.service, each.number, *_cells(titles, dict(zip(each.titles, row, strict=False))))
        for each in containers
        for row in each.rows
    ]
    return table(("SERVICE", "#", *titles), rows, gap=2, min_width=4) if rows else []


def _cells(titles: Sequence[str], process: Mapping[str, str]) -> list[str]:
    return [process.get(title, _MISSING) for title in titles]
