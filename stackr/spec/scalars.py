"""What a plain YAML scalar means: numbers, booleans, null and timestamps, as go-yaml v3 has it.

YAML 1.1's `yes`, `on` and sexagesimal `22:22` are strings; `0777` is still octal.
Source: go-yaml v3, resolve.go.
"""

from __future__ import annotations

import base64
import re
from datetime import date
from typing import Any

_CONSTANTS: dict[str, Any] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NOT_NUMBERS = {
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_MAY_BE_SPECIAL = frozenset("+-.0123456789nNtTfF~")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_DOTTED = re.compile(r"\.[0-9]+(_[0-9]+)*([eE][-+]?[0-9]+(_[0-9]+)*)?\Z", re.ASCII)
_INT = re.compile(
    r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))\Z", re.ASCII
)
_BASES = (16, 2, 8, 10)
_MOST_DIGITS = 64
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:([Tt ])(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?(Z|[-+]\d\d:\d\d)?)?\Z",
    re.ASCII,
)
_INT64 = range(-(1 << 63), 1 << 63)
_UINT64 = range(1 << 64)


class Timestamp(str):
    """A date or time that was not quoted, in RFC 3339; no attribute of Compose takes one."""

    __slots__ = ()


def resolve(text: str) -> Any:
    """The value of a plain scalar."""
    if not text or text[0] in _MAY_BE_SPECIAL:
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if text and text[0] in "+-.0123456789":
            return _number(text)
    return text


def _number(text: str) -> Any:
    if text in _NOT_NUMBERS:
        return _NOT_NUMBERS[text]
    if text[0] == ".":
        return float(text) if _DOTTED.match(text) else text
    timestamp = _timestamp(text)
    if timestamp is not None:
        return timestamp
    plain = text.replace("_", "")
    number = integer(plain)
    if number is not None:
        return number
    if not _FLOAT.match(plain):
        return text
    value = float(plain)
    return text if value in (float("inf"), float("-inf")) else value


def integer(text: str) -> int | None:
    """An integer in any of Go's notations that fits 64 bits (unsigned if it has no sign)."""
    match = _INT.match(text)
    if match is None:
        return None
    sign, *digits = match.groups()
    part, base = next(
        (part, base) for part, base in zip(digits, _BASES, strict=True) if part is not None
    )
    if len(part.lstrip("0")) > _MOST_DIGITS:
        return None
    magnitude = int(part, base)
    number = -magnitude if sign == "-" else magnitude
    return number if number in _INT64 or (not sign and number in _UINT64) else None


def _timestamp(text: str) -> Timestamp | None:
    match = _TIMESTAMP.match(text)
    if match is None:
        return None
    year, month, day, separator, hour, minute, second, fraction, zone = match.groups()
    try:
        date(max(int(year), 1), int(month), int(day))
    except ValueError:
        return None
    day_text = f"{year}-{int(month):02}-{int(day):02}"
    if separator is None:
        return Timestamp(f"{day_text}T00:00:00Z")
    if (zone is None) != (separator == " ") or int(hour) > 23 or max(int(minute), int(second)) > 59:
        return None
    fraction = (fraction or "")[:10].rstrip("0").rstrip(".")
    return Timestamp(
        f"{day_text}T{int(hour):02}:{int(minute):02}:{int(second):02}{fraction}{zone or 'Z'}"
    )


def resolve_tagged(tag: str, text: str) -> Any:
    """The value of a scalar with an explicit tag; ValueError if the text cannot be that.

    tag: in full, as `tag:yaml.org,2002:int`, or an application's own, which means a string.
    """
    kind = tag.removeprefix("tag:yaml.org,2002:")
    if kind == tag or kind not in _TAGS:
        return text
    if kind == "str":
        return text
    if kind == "binary":
        return _binary(text)
    value = resolve(text)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, _TAGS[kind]) or isinstance(value, bool) != (kind == "bool"):
        raise ValueError(f"cannot decode `{text}` as a !!{kind}")
    return value


_TAGS: dict[str, type] = {
    "str": str,
    "binary": str,
    "int": int,
    "float": float,
    "bool": bool,
    "null": type(None),
    "timestamp": Timestamp,
}


def _binary(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
    except ValueError as error:
        raise ValueError("!!binary value contains invalid base64 data") from error
