"""Tables of text: a header, rows, columns as wide as their longest cell, spaces between."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["table"]

_GAP = 3


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, min_width: int = 0, gap: int = _GAP
) -> list[str]:
    """The table's lines, without trailing spaces; each row has as many cells as the header.

    gap: spaces between columns. min_width: of each column with the gap behind it.
    """
    lines = [list(header), *(list(row) for row in rows)]
    least = max(min_width - gap, 0)
    widths = [max(least, *(len(line[column]) for line in lines)) for column in range(len(header))]
    return [
        (" " * gap)
        .join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        .rstrip()
        for line in lines
    ]
