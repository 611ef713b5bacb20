"""Pictures of terminals in docs/pictures: what they show, and that it is what is shown now.

`STACKR_GOLDEN=write` writes them anew. They are compared by their words, line by line, as colours
and the room between keys are a library's own affair.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

__all__ = ["PICTURES", "check_picture", "rows"]

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
_CHARACTER = 12.2
_LINE = re.compile(r"-line-(\d+)\)$")
_FONT_FROM_OUTSIDE = re.compile(r',\s*url\("https://[^;]*(?=;)')


def rows(svg: str) -> list[str]:
    """The lines of a terminal in Rich's pictures, from the top, without blanks at their ends."""
    found: dict[int, str] = {}
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        line = _LINE.search(element.get("clip-path", ""))
        if line is None:
            continue
        at, column = int(line[1]), round(float(element.get("x", "0")) / _CHARACTER)
        text = (element.text or "").replace("\xa0", " ")
        found[at] = found.get(at, "").ljust(column) + text
    return [found.get(at, "").rstrip() for at in range(max(found, default=-1) + 1)]


def check_picture(name: str, svg: str) -> None:
    """The picture of this name shows the same text."""
    path = PICTURES / name
    if os.environ.get("STACKR_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(_FONT_FROM_OUTSIDE.sub("", svg).rstrip() + "\n", encoding="utf-8")
    before, now = _words(path.read_text(encoding="utf-8")), _words(svg)
    assert before == now, "\n".join(["before:", *before, "now:", *now])


def _words(svg: str) -> list[str]:
    return [" ".join(row.split()) for row in rows(svg)]
