"""Tables of text: a header, rows, columns as wide as their longest cell, three spaces between."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["table"]

_GAP = "   "


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The table's lines, without trailing spaces; each row has as many cells as the header."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return [
        _GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
