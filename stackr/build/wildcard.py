"""Patterns of paths, as Go's `filepath.Match` has them, and `**` for any number of folders."""

from __future__ import annotations

import functools
import re

from stackr.build.errors import DockerfileError

__all__ = ["compile_pattern", "is_pattern"]

_WILD = re.compile(r"[*?\[\\]")


def is_pattern(text: str) -> bool:
    return _WILD.search(text) is not None


@functools.lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Matches a whole path. Raises DockerfileError for a malformed class or a lone backslash."""
    parts: list[str] = []
    i = 0
    while i < len(pattern):
        character = pattern[i]
        i += 1
        if character == "*":
            part, i = _star(pattern, i)
            parts.append(part)
        elif character == "?":
            parts.append("[^/]")
        elif character == "[":
            part, i = _class(pattern, i)
            parts.append(part)
        elif character == "\\":
            if i == len(pattern):
                raise DockerfileError(f"syntax error in pattern: {pattern}")
            parts.append(re.escape(pattern[i]))
            i += 1
        else:
            parts.append(re.escape(character))
    return re.compile("".join(parts), re.DOTALL)


def _star(pattern: str, i: int) -> tuple[str, int]:
    if not pattern.startswith("*", i):
        return "[^/]*", i
    i += 1
    if pattern.startswith("/", i):
        return "(?:.*/)?", i + 1
    return ".*", i


def _class(pattern: str, i: int) -> tuple[str, int]:
    """`[a-z]` from behind its bracket on."""
    out = "["
    if pattern.startswith("^", i):
        out += "^"
        i += 1
    start = i
    while i < len(pattern) and (pattern[i] != "]" or i == start):
        if pattern[i] == "\\":
            i += 1
        if i < len(pattern):
            out += "-" if pattern[i] == "-" and i > start else re.escape(pattern[i])
        i += 1
    if i >= len(pattern):
        raise DockerfileError(f"syntax error in pattern: {pattern}")
    try:
        re.compile(f"{out}]")
    except re.error:
        raise DockerfileError(f"syntax error in pattern: {pattern}") from None
    return f"{out}]", i + 1
