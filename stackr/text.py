"""Text from outside: what is no Unicode is replaced, and what would act on a terminal is shown.

Names, labels, environments, files, registries' errors and clients' requests may hold anything. They
come in by the functions here, so that each can be written as UTF-8, kept, and listed; and they are
shown to people by `visible`.
Source: Go's encoding/json and unicode/utf8, whose U+FFFD for each byte that is no UTF-8 Docker has.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any, Literal, NoReturn

__all__ = [
    "Colours",
    "decode",
    "parse_json",
    "unicode",
    "visible",
    "whole_number",
    "without_colours",
]

Colours = Literal["none", "own", "any"]
"""Of codes for colours, which are kept: `own` are those of `stackr.cli.views.output`, by which
nothing can be hidden, neither a word nor what follows."""

_LARGEST = 2**63 - 1
_SHOWN_DIGITS = 40
_LONE = re.compile("[\ud800-\udfff]")
_MAY_BE_LONE = re.compile(r"\\u[dD][89a-fA-F]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OWN = re.compile(r"\x1b\[(?:0|[124]|3[1-6])(?:;(?:[124]|3[1-6]))*m")
_PLAIN = "\x1b[0m"
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ACTING_OR_LONE = re.compile(f"{_ACTING.pattern}|{_LONE.pattern}")


def unicode(text: str) -> str:
    """`text` with U+FFFD for each surrogate: the operating system's bytes that are no UTF-8."""
    return _LONE.sub("\ufffd", text)


def decode(data: bytes) -> str:
    """UTF-8, with U+FFFD for each byte that is none."""
    return unicode(data.decode("utf-8", "surrogateescape"))


def whole_number(text: str, *, most: int = _LARGEST) -> int | None:
    """The number that ASCII digits stand for; None for any other text, and beyond `most`.

    For digits from outside: Python's `int` takes those of every script, and raises ValueError where
    there are thousands of them.
    """
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    number = int(digits or 0) if len(digits) <= len(str(most)) else most + 1
    return number if number <= most else None


def parse_json(data: bytes | bytearray | str, *, most: int | None = None) -> Any:
    """A JSON value as Go reads it: what is no Unicode becomes U+FFFD.

    most: the largest whole number, either way. Raises ValueError for one that is larger, for a
    syntax error (NaN is one, too) and for nesting that is too deep.
    """
    text = data if isinstance(data, str) else decode(bytes(data))
    try:
        bounded = None if most is None else partial(_bounded, most=most)
        value = json.loads(text, parse_constant=_refuse, parse_int=bounded)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return _unicode_values(value) if _MAY_BE_LONE.search(text) or _LONE.search(text) else value


def _bounded(digits: str, *, most: int) -> int:
    if len(digits) > len(str(most)) + 1 or abs(int(digits)) > most:
        raise ValueError(f"{digits[:_SHOWN_DIGITS]}: the number is out of range")
    return int(digits)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _unicode_values(value: Any) -> Any:
    if isinstance(value, str):
        return unicode(value)
    if isinstance(value, list):
        return [_unicode_values(entry) for entry in value]
    if isinstance(value, dict):
        return {unicode(key): _unicode_values(entry) for key, entry in value.items()}
    return value


def visible(text: str, *, one_line: bool = False, colours: Colours = "none") -> str:
    r"""`text` with `\u001b` and the like for the characters that a terminal acts on.

    Tabs and, without one_line, ends of lines stay; so do colours, as said, and `own` ones end with
    the text. What is escaped within a string of JSON is still JSON, with the same value.
    """
    if text.isprintable():
        return text
    if one_line:
        text = text.replace("\n", "\\u000a")
    if colours == "none":
        return _ACTING_OR_LONE.sub(_escaped, text)
    code = _OWN if colours == "own" else _COLOUR
    plain, kept = code.split(text), code.findall(text)
    if colours == "own" and kept and kept[-1] != _PLAIN:
        plain, kept = [*plain, ""], [*kept, _PLAIN]
    return "".join(
        _ACTING_OR_LONE.sub(_escaped, part) + colour
        for part, colour in zip(plain, [*kept, ""], strict=True)
    )


def without_colours(text: str) -> str:
    """What a program has written, in one colour."""
    return _COLOUR.sub("", text)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
