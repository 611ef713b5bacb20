"""Text in lines of a terminal's width, and old and new values with the words that differ marked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from stackr.cli.views.output import Output

__all__ = ["changed_values", "wrapped"]

_WORD = re.compile(r"\w+|\s+|.", re.DOTALL)
_BREAKS = " ,;&/"
"""What a line of a value may end with, if it is in the line's second half."""
_LEAST = 20
_COMPARED = 4_000
"""Words, beyond which a comparison word by word takes too long."""


def wrapped(text: str, width: int, *, first: str = "", rest: str = "    ") -> Iterator[str]:
    """Lines of at most `width` columns; words that are longer are broken, and nothing is cut.

    first, rest: what the first line, and the others, begin with; they take less than the width.
    """
    begin, line = first, first
    for word in text.split():
        room = max(width - len(rest), _LEAST)
        for part in (word[at : at + room] for at in range(0, len(word), room)):
            space = "" if line == begin else " "
            if line != begin and len(line) + len(space) + len(part) > width:
                yield line
                begin, line, space = rest, rest, ""
            line += space + part
    yield line


Marked = Sequence[tuple[str, bool]]
"""Characters, each with whether it differs."""


def changed_values(old: str | None, new: str, output: Output, indent: str) -> Iterator[str]:
    """`- old` in red, where there is one, `+ new` in green, wrapped; what differs is underlined.

    Where there are no colours, they have `^` below.
    """
    if old is None:
        yield from _value("+", [(char, False) for char in new], "green", output, indent)
        return
    before, after = _marked(old, new)
    yield from _value("-", before, "red", output, indent)
    yield from _value("+", after, "green", output, indent)


def _marked(old: str, new: str) -> tuple[Marked, Marked]:
    one, other = _WORD.findall(old), _WORD.findall(new)
    if len(one) + len(other) > _COMPARED:
        return [(char, True) for char in old], [(char, True) for char in new]
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    before: list[tuple[str, bool]] = []
    after: list[tuple[str, bool]] = []
    for tag, a, b, c, d in matcher.get_opcodes():
        before += [(char, tag != "equal") for word in one[a:b] for char in word]
        after += [(char, tag != "equal") for word in other[c:d] for char in word]
    return before, after


def _value(sign: str, text: Marked, colour: str, output: Output, indent: str) -> Iterator[str]:
    room = max(output.width - len(indent) - 2, _LEAST)
    for number, line in enumerate(_lines(text, room)):
        start = f"{indent}{' ' if number else sign} "
        shown = "".join(
            output.paint("".join(c for c, _ in run), colour, *(["bold", "underline"] * is_changed))
            for is_changed, run in groupby(_bare(line), lambda pair: pair[1])
        )
        yield (output.paint(start, colour) + shown).rstrip()
        carets = "".join("^" if is_changed else " " for _, is_changed in line).rstrip()
        if carets and not output.colour and not all(is_changed for _, is_changed in text):
            yield " " * len(start) + carets


def _bare(line: Marked) -> Marked:
    """Without the blank that it ends with."""
    return line[:-1] if line and line[-1][0] == " " else line


def _lines(text: Marked, room: int) -> Iterator[Marked]:
    while len(text) > room:
        ends = (at for at in range(room, room // 2, -1) if text[at - 1][0] in _BREAKS)
        end = next(ends, room)
        yield text[:end]
        text = text[end:]
    yield text
