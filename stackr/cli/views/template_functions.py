"""The functions that `--format` texts may call, and how Go writes values.

Source: Go, text/template ("Functions") and fmt; docker/cli, templates/templates.go.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["FUNCTIONS", "Nil", "Struct", "TemplateError", "go_text", "is_true"]

_VERB = re.compile(r"%([-+ 0#]*)(\d*)(?:\.(\d+))?([a-zA-Z%])")
_MOST_PADDING = 10_000


class TemplateError(Exception):
    """A template that cannot be parsed, or does not fit its value."""


class Struct(dict[str, Any]):
    """Fields as those of a struct in Go, in their order; case does not count, as `ID` is `Id`."""

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or self._spelled(key) is not None

    def __missing__(self, key: str) -> Any:
        spelled = self._spelled(key)
        if spelled is None:
            raise KeyError(key)
        return self[spelled]

    def _spelled(self, key: object) -> str | None:
        wanted = str(key).lower()
        return next((own for own in self if own.lower() == wanted), None)


class Nil(Mapping[str, Any]):
    """A list, a map or a pointer that is nil in Go: nothing is in it, and as JSON it is null.

    text: what Go prints for it, `[]`, `map[]` or `<nil>`. Of a map, any key may be named.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __contains__(self, key: object) -> bool:
        return self.text == "map[]"

    def __getitem__(self, key: str) -> None:
        return None

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def go_text(value: Any) -> str:
    """As `fmt.Sprint` writes it."""
    match value:
        case Nil():
            return value.text
        case Struct():
            return f"{{{' '.join(map(go_text, value.values()))}}}"
        case None:
            return "<no value>"
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case Mapping():
            return f"map[{' '.join(f'{go_text(k)}:{go_text(value[k])}' for k in sorted(value))}]"
        case list() | tuple():
            return f"[{' '.join(map(go_text, value))}]"
        case _:
            return str(value)


def is_true(value: Any) -> bool:
    """Go's truth: not false, 0, nil, or empty."""
    return bool(value)


def _json(value: Any) -> str:
    """Methods are left out; keys stand in alphabetical order, as with Docker, at the top only."""
    if isinstance(value, Mapping):
        value = {key: value[key] for key in sorted(value) if not callable(value[key])}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _join(items: Sequence[Any], separator: str) -> str:
    return separator.join(map(go_text, items))


def _pad(text: str, before: int, after: int) -> str:
    if max(before, after) > _MOST_PADDING:
        raise ValueError("padding is too wide")
    return " " * before + text + " " * after if text else text


def _truncate(text: str, length: int) -> str:
    return text[:length]


def _title(text: str) -> str:
    """As `strings.Title`: after all but letters, digits, underscores and apostrophes."""
    return re.sub(r"(?<![\w'])\w", lambda match: match[0].upper(), text)


def _print(*values: Any) -> str:
    """Spaces stand between two values of which neither is a text."""
    parts = []
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            parts.append(" ")
        parts.append(go_text(value))
    return "".join(parts)


def _println(*values: Any) -> str:
    return " ".join(map(go_text, values)) + "\n"


def _printf(form: str, *values: Any) -> str:
    left = list(values)

    def written(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not left:
            return f"%!{verb}(MISSING)"
        if int(width or 0) > _MOST_PADDING or int(precision or 0) > _MOST_PADDING:
            raise ValueError("width is too large")
        return _formatted(flags, width, precision, verb, left.pop(0))

    return _VERB.sub(written, form)


def _formatted(flags: str, width: str, precision: str | None, verb: str, value: Any) -> str:
    dot = f".{precision}" if precision is not None else ""
    if verb in ("s", "v", "q", "t"):
        text = go_text(value)
        return f"%{flags}{width}{dot}s" % (json.dumps(text) if verb == "q" else text)
    if verb in "dxXof" or verb in "eEgG":
        if not isinstance(value, int | float):
            return f"%!{verb}(string={go_text(value)})"
        return f"%{flags}{width}{dot}{verb}" % value
    raise ValueError(f"%{verb} is not supported")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Nil):
            return ""
        value = value.get(key, "") if isinstance(value, Mapping) else value[key]
    return value


def _slice(value: Any, *bounds: int) -> Any:
    return value[slice(*bounds)] if bounds else value


def _and(*values: Any) -> Any:
    return next((value for value in values if not is_true(value)), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if is_true(value)), values[-1])


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "json": _json,
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "join": _join,
    "title": _title,
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "pad": _pad,
    "truncate": _truncate,
    "print": _print,
    "println": _println,
    "printf": _printf,
    "len": len,
    "index": _index,
    "slice": _slice,
    "eq": lambda first, *others: first in others,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "and": _and,
    "or": _or,
    "not": lambda value: not is_true(value),
}
