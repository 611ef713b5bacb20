"""What is most likely wrong with text that is no YAML: where it is, and how it is mended.

libyaml says where it could not go on, which is often a line after the mistake, in words about its
own state. Here the lines around that place are looked at, as a reader would.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["OF_DOCKERFILE", "Advice", "advise", "is_dockerfile"]

_ITEM = re.compile(r"(?:- +)*")
_NO_SPACE = re.compile(r"([\w.-]+):([^\s:/].*)")
_NO_COLON = re.compile(r"([a-z][\w.-]*) +(\S.*)")
_EQUALS = re.compile(r"([A-Za-z_][\w.-]*)=(.*)")
_WIDTH = 80
_BEGINS = re.compile(r"begins at line (\d+)")
_CONFLICT = re.compile(r"(?:<<<<<<<|=======|>>>>>>>)(?: .*)?")
_OPENS_QUOTE = re.compile(r"(?:^|[\s:\[{,])([\"'])")


class Advice(NamedTuple):
    """hint: how to mend it. line, column: where, from 0."""

    hint: str
    line: int
    column: int


def advise(data: bytes, message: str, line: int, column: int) -> Advice | None:
    """The mistake behind a message of libyaml's; None where nothing is seen.

    line, column: where it could not go on, from 0.
    """
    lines = data.decode("utf-8", "replace").splitlines()
    if found := _of_another_kind(data, lines):
        return found
    if "cannot start any token" in message:
        return _quoted(lines, line, column)
    if "scanning a quoted scalar" in message and (begins := _BEGINS.search(message)):
        return _unclosed(lines, int(begins[1]) - 1)
    if "unknown escape character" in message:
        hint = r'in " a \ begins a sign such as \n: put the value in single quotes'
        return Advice(hint, line, column)
    if "not find expected key" in message and (begins := _BEGINS.search(message)):
        return _odd_quote(lines, int(begins[1]) - 1, line) or _misplaced(lines, line)
    if "not find expected key" in message or "not find expected '-'" in message:
        return _misplaced(lines, line)
    if "mapping values are not allowed" in message or "could not find expected ':'" in message:
        return _unexpected_mapping(lines, line, column)
    if "already defined at line" in message:
        return Advice("put both into one, or give one of them another name", line, column)
    if "unknown anchor" in message:
        name = message.partition("'")[2].partition("'")[0]
        return Advice(
            f'write "&{name}" at the value that it stands for, above this line', line, column
        )
    return None


def _of_another_kind(data: bytes, lines: list[str]) -> Advice | None:
    """Text that was not written as YAML: marks of git's, a Dockerfile, no text at all."""
    if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Advice("it is not a text file: correct the path", 0, 0)
    if is_dockerfile(lines):
        return Advice(OF_DOCKERFILE, 0, 0)
    for number, text in enumerate(lines):
        if _CONFLICT.fullmatch(text):
            hint = f'git could not merge here: keep one side, and remove the lines "{text[:7]}"'
            return Advice(f"{hint} and its like", number, 0)
    return None


OF_DOCKERFILE = (
    'this is a Dockerfile: write "services: {app: {build: .}}" to compose.yaml beside it'
)


def is_dockerfile(lines: Iterable[str]) -> bool:
    """Whether the first instruction is FROM, comments and ARG aside."""
    for text in lines:
        words = text.split(maxsplit=1)
        if words and not words[0].startswith("#") and words[0] != "ARG":
            return len(words) == 2 and words[0] == "FROM"
    return False


def _odd_quote(lines: list[str], first: int, last: int) -> Advice | None:
    """A quote that one of these lines opens and does not close, though the next ones do."""
    for number in range(first, min(last, len(lines) - 1)):
        opened = _OPENS_QUOTE.search(lines[number])
        if opened and lines[number].count(opened[1]) == 1:
            return Advice(
                f"the {opened[1]} that begins here is not closed", number, opened.start(1)
            )
    return None


def _quoted(lines: list[str], line: int, column: int) -> Advice | None:
    text = lines[line][column:].rstrip()[:_WIDTH] if line < len(lines) else ""
    if text.startswith("\t"):
        return Advice("replace the tab by spaces", line, column)
    return Advice(f"put the value in quotes: '{text}'", line, column) if text else None


def _unclosed(lines: list[str], line: int) -> Advice | None:
    if line >= len(lines):
        return None
    found = re.search(r"[\"']", lines[line])
    column = found.start() if found else 0
    mark = found.group() if found else '"'
    return Advice(f"the {mark} that begins here is not closed", line, column)


def _misplaced(lines: list[str], line: int) -> Advice | None:
    """A line whose indentation is that of no mapping around it."""
    if line >= len(lines):
        return None
    own, levels = _indent(lines[line]), _levels(lines, line)
    if own in levels:
        if lines[line].lstrip().startswith("- "):
            return Advice("an item of a list stands among keys: indent it as its list", line, own)
        return None
    if not levels:
        return None
    wanted = " or ".join(str(each) for each in levels if abs(each - own) <= 4) or str(levels[0])
    hint = f"this line is indented by {_spaces(own)}, keys around it by {wanted}"
    return Advice(hint, line, own)


def _levels(lines: list[str], line: int) -> list[int]:
    """The indentations of the mappings that are open before a line, the innermost first."""
    levels: list[int] = []
    for text in reversed(lines[:line]):
        if _is_content(text) and (not levels or _indent(text) < levels[-1]):
            levels.append(_indent(text))
    return levels


def _unexpected_mapping(lines: list[str], line: int, column: int) -> Advice | None:
    """A key where a text goes on: the line before lacks something, or this one is too deep."""
    above = next(
        (n for n in range(min(line, len(lines)) - 1, -1, -1) if _is_content(lines[n])), None
    )
    if above is None or line >= len(lines):
        return None
    start = _indent(lines[above]) + len(_ITEM.match(lines[above].lstrip())[0])  # type: ignore[index]
    text = lines[above][start:].rstrip()[:_WIDTH]
    if found := _EQUALS.fullmatch(text):
        return Advice(f'write "{found[1]}: {found[2]}"', above, start)
    if found := _NO_SPACE.fullmatch(text):
        hint = f'a space is missing behind the colon: write "{found[1]}: {found[2]}"'
        return Advice(hint, above, start)
    if ":" not in text and " " not in text:
        return Advice(f'a colon is missing: write "{text}:"', above, start + len(text))
    if ": " not in text and (found := _NO_COLON.fullmatch(text.partition(" #")[0])):
        hint = f'a colon is missing: write "{found[1]}: {found[2]}"'
        return Advice(hint, above, start + len(found[1]))
    own = _indent(lines[line])
    if own > start:
        hint = f"this line is indented by {_spaces(own)}, the one before by {start}"
        return Advice(f"{hint}: keys of one mapping stand below each other", line, own)
    if ": " in lines[line][column + 1 :] or lines[line][:column].count(": "):
        return Advice("put a value that has a colon and a space in quotes", line, column)
    return None


def _is_content(text: str) -> bool:
    return bool(text.strip()) and not text.lstrip().startswith("#")


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _spaces(count: int) -> str:
    return f"{count} space{'' if count == 1 else 's'}"
