"""Writes plain values as YAML, letter by letter as Docker Compose does.

Text that a reader of YAML 1.1 or 1.2 would take for something else than a string is quoted, text
of several lines is a literal block. Only `=`, `<<` and U+2028 and U+2029 are quoted here and not
there, as other readers stumble over them. Source: go-yaml v3, encode.go and emitterc.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from stackr.spec.scalars import Timestamp, resolve
from stackr.spec.units import go_text

_SIMPLE = re.compile(r"[A-Za-z/_(+$^\\][A-Za-z0-9/_.=@$+^();\\-]*")
_WORDS = frozenset(
    {
        *("<<", "="),
        *(word for each in ("y", "n", "yes", "no", "on", "off") for word in (each, each.upper())),
    }
    | {"Yes", "No", "On", "Off"}
)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?", re.ASCII)
_BREAKS = "\r\n\x85\u2028\u2029"
_BREAK = re.compile(f"[{_BREAKS}]")
_NOT_PLAIN = re.compile(
    rf"[#,\[\]{{}}&*!|>'\"%@`]|---|\.\.\.|[-?:](?:[ \t{_BREAKS}]|\Z)|[ {_BREAKS}]"
    rf"|.*?(?::(?:[ \t{_BREAKS}]|\Z)|[ \t{_BREAKS}]#|\t)|.*[ {_BREAKS}]\Z",
    re.DOTALL,
)
_BREAK_AND_SPACE = re.compile(rf"[{_BREAKS}] ")
_SPACE_AND_BREAK = re.compile(rf" [{_BREAKS}]")
_UNPRINTABLE = re.compile("[^\t\n -~]")
_ESCAPED = re.compile(r"[^ !#-\[\]-~]")
_WIDE = "\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd"
_ANY = re.compile(".", re.DOTALL)
_ESCAPES = {
    "\0": "0",
    "\a": "a",
    "\b": "b",
    "\t": "t",
    "\n": "n",
    "\v": "v",
    "\f": "f",
    "\r": "r",
    "\x1b": "e",
    '"': '"',
    "\\": "\\",
    "\x85": "N",
    "\u2028": "L",
    "\u2029": "P",
}
_MOST_OF_A_KEY = 128
_NUMBERS = {"NaN": ".nan", "+Inf": ".inf", "-Inf": "-.inf"}


def to_yaml(tree: dict[str, Any]) -> str:
    """A map as a block of YAML; keys keep their order."""
    if not tree:
        return "{}\n"
    lines: list[str] = []
    _map(tree, "", lines)
    return "\n".join([*lines, ""])


def _map(tree: dict[str, Any], indent: str, lines: list[str]) -> None:
    for key, value in tree.items():
        if _BREAK.search(key) or len(key.encode("utf-8", "surrogatepass")) > _MOST_OF_A_KEY:
            _entry(f"{indent}?", key, indent + "  ", lines)
            _under(f"{indent}:", value, indent + "  ", lines)
        else:
            _entry(f"{indent}{_string(key)}:", value, indent + "  ", lines)


def _under(start: str, value: Any, indent: str, lines: list[str]) -> None:
    """A map or list begins on the line of what it belongs to."""
    if not (value and isinstance(value, (dict, list))):
        _entry(start, value, indent, lines)
        return
    first = len(lines)
    if isinstance(value, dict):
        _map(value, indent, lines)
    else:
        _list(value, indent, lines)
    lines[first] = f"{start} {lines[first][len(indent) :]}"


def _list(items: list[Any], indent: str, lines: list[str]) -> None:
    for item in items:
        _under(f"{indent}-", item, indent + "  ", lines)


def _entry(start: str, value: Any, indent: str, lines: list[str]) -> None:
    if isinstance(value, dict) and value:
        lines.append(start)
        _map(value, indent, lines)
    elif isinstance(value, list) and value:
        lines.append(start)
        _list(value, indent, lines)
    elif isinstance(value, str) and "\n" in value and _may_be_block(value):
        lines += _block(start, value, indent)
    else:
        lines.append(f"{start} {_scalar(value)}")


def _may_be_block(text: str) -> bool:
    if text.endswith(" ") or _has_unprintable(text):
        return False
    return _SPACE_AND_BREAK.search(text) is None


def _block(start: str, text: str, indent: str) -> Iterator[str]:
    body = text.rstrip("\n")
    ends = len(text) - len(body)
    hint = "2" if text[0] in (" ", "\n") else ""
    chomp = "-" if not ends else "+" if ends > 1 or not body else ""
    yield f"{start} |{hint}{chomp}"
    for line in [*body.split("\n"), *[""] * (ends - 1)] if body else [""] * ends:
        yield f"{indent}{line}" if line else ""


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value if isinstance(value, Timestamp) else _string(value)
    if isinstance(value, float):
        text = go_text(value)
        return _NUMBERS.get(text, text)
    return json.dumps(value)


def _string(text: str) -> str:
    if _SIMPLE.fullmatch(text):
        return _double_quoted(text) if text in _WORDS or type(resolve(text)) is not str else text
    ambiguous = text in _WORDS or _SEXAGESIMAL.fullmatch(text) or type(resolve(text)) is not str
    if ambiguous or "\n" in text:
        return _double_quoted(text)
    unprintable = _has_unprintable(text)
    if not unprintable and not _NOT_PLAIN.match(text):
        return text
    if (
        unprintable
        or "\t" in text
        or _BREAK_AND_SPACE.search(text)
        or _SPACE_AND_BREAK.search(text)
    ):
        return _double_quoted(text)
    return "'" + text.replace("'", "''") + "'"


def _double_quoted(text: str) -> str:
    if text.startswith("\ufeff"):
        # go-yaml looks for the mark at the start of the text, whichever character it is at.
        return f'"{_ANY.sub(_escape, text)}"'
    escaped = _ESCAPED if text.isascii() else _wide(_ESCAPED.pattern)
    return f'"{escaped.sub(_escape, text)}"'


def _has_unprintable(text: str) -> bool:
    pattern = _UNPRINTABLE if text.isascii() else _wide(_UNPRINTABLE.pattern)
    return pattern.search(text) is not None


@cache
def _wide(pattern: str) -> re.Pattern[str]:
    """The same for text that is not ASCII only; to compile it takes milliseconds."""
    return re.compile(f"{pattern[:-1]}{_WIDE}]")


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    if char in _ESCAPES:
        return "\\" + _ESCAPES[char]
    point = ord(char)
    if point <= 0xFF:
        return f"\\x{point:02X}"
    return f"\\u{point:04X}" if point <= 0xFFFF else f"\\U{point:08X}"
