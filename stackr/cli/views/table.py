"""Tables of text: a header, rows, columns as wide as their longest cell, spaces between."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["table"]

_GAP = 3


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    min_width: int = 0,
    gap: int = _GAP,
    keeps_end: bool = False,
) -> list[str]:
    """The table's lines; each row has as many cells as the header.

    gap: spaces between columns. min_width: of each column with the gap behind it. keeps_end: the
    spaces before an empty last cell stay, as Docker prints them.
    """
    lines = [list(header), *(list(row) for row in rows)]
    least = max(min_width - gap, 0)
    columns = range(len(header) - 1)
    widths = [max(least, *(len(line[column]) for line in lines)) for column in columns]
    texts = [
        (" " * gap).join([*map(str.ljust, line, widths), line[-1]] if line else [])
        for line in lines
    ]
    return texts if keeps_end else [text.rstrip() for text in texts]
