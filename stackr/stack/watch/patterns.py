"""Patterns of `.dockerignore`, of `ignore` and of `include`: which paths below a folder they name.

Source: moby/patternmatcher, PatternMatcher.MatchesOrParentMatches.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from stackr.errors import InvalidArgument

__all__ = ["Patterns", "read_ignore_file"]


class _Pattern(NamedTuple):
    expression: re.Pattern[str]
    is_exception: bool


class Patterns:
    """Patterns relative to a folder: the last that names a path, or a folder above it, counts.

    `*` and `?` match no slash, `**` is any number of folders, `!` in front makes an exception.
    Raises InvalidArgument for a pattern that is none.
    """

    def __init__(self, root: Path, texts: Iterable[str]) -> None:
        self._root = str(root)
        self._patterns = [_compile(text, self._root) for text in texts if text.strip()]

    @property
    def has_exceptions(self) -> bool:
        return any(pattern.is_exception for pattern in self._patterns)

    def match(self, path: Path) -> bool:
        """path: absolute. What is not below the folder never matches."""
        if not self._patterns or not path.is_relative_to(self._root):
            return False
        names = list(_with_parents(path.relative_to(self._root).as_posix()))
        matched = False
        for expression, is_exception in self._patterns:
            if is_exception == matched and any(map(expression.fullmatch, names)):
                matched = not is_exception
        return matched


def _with_parents(name: str) -> Iterator[str]:
    """`a/b` -> "a", "a/b"; nothing for the folder itself."""
    place = 0
    while name != "." and place != -1:
        place = name.find("/", place + 1)
        yield name if place == -1 else name[:place]


def _compile(text: str, root: str) -> _Pattern:
    text = text.strip()
    is_exception = text.startswith("!")
    pattern = text.removeprefix("!").strip()
    if not pattern:
        raise InvalidArgument(f'illegal exclusion pattern: "{text}"')
    pattern = posixpath.normpath(pattern)
    if pattern == root or pattern.startswith(f"{root}/"):
        pattern = posixpath.relpath(pattern, root)
    pattern = pattern.lstrip("/")
    expression = ".*" if pattern in ("", ".") else "".join(_expression(pattern))
    try:
        return _Pattern(re.compile(expression, re.DOTALL), is_exception)
    except re.error as error:
        raise InvalidArgument(f'syntax error in pattern: "{text}"') from error


def _expression(pattern: str) -> Iterator[str]:
    place = 0
    while place < len(pattern):
        char = pattern[place]
        place += 1
        if char == "*" and pattern.startswith("*", place):
            place += 1
            if pattern.startswith("/", place):
                place += 1
            yield ".*" if place == len(pattern) else "(?:.*/)?"
        elif char == "*":
            yield "[^/]*"
        elif char == "?":
            yield "[^/]"
        elif char == "[":
            end = _class_end(pattern, place)
            yield _character_class(pattern[place:end])
            place = end + 1
        elif char == "\\" and place < len(pattern):
            yield re.escape(pattern[place])
            place += 1
        else:
            yield re.escape(char)


def _class_end(pattern: str, start: int) -> int:
    """Where the bracket is that closes a class of characters; a backslash hides the next one."""
    place = start + pattern.startswith("^", start)
    while place < len(pattern) and pattern[place] != "]":
        place += 2 if pattern[place] == "\\" else 1
    if place >= len(pattern):
        raise InvalidArgument(f'syntax error in pattern: "{pattern}"')
    return place


def _character_class(body: str) -> str:
    """The inside of `[...]`, with what only Python's expressions give a meaning made harmless."""
    negated = body.startswith("^")
    inside = re.sub(r"\\(.)|([\[&~|])", lambda found: f"\\{found[1] or found[2]}", body[negated:])
    return f"[{'^' * negated}{inside}]"


def read_ignore_file(path: Path) -> list[str]:
    """The patterns of a `.dockerignore`, without comments. Raises OSError."""
    lines = path.read_text("utf-8-sig", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
