"""The entries of a log as dockerd's json-file keeps them: one JSON object a line; pure.

{"log": "a line\\n", "stream": "stdout", "attrs": {...}, "time": "2026-01-02T03:04:05.123456789Z"};
a line of output that was too long ends without "\\n" and goes on in the next entry of its stream.
Source: moby's jsonlog.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from stackr.runtime.engine.container.io.log_seek import Form
from stackr.runtime.engine.container.io.logs import EntryJoiner, LogEntry, nanoseconds

__all__ = ["FORM", "JsonJoiner", "decode", "encode", "ends_line", "stamp"]

_LINE_ENDS = b'\\n","stream":"'
_PLAIN = re.compile(
    rb'\{"log":"([^"\\]*)(\\n)?","stream":"(stdout|stderr)"'
    rb',"time":"([0-9T:-]{19})(?:\.([0-9]{1,9}))?Z"\}\n?'
)
"""An entry without escapes but that of its line's end, as most are: JSON takes twice as long."""
_STREAMS = {b"stdout": "stdout", b"stderr": "stderr"}


def stamp(text: str) -> str:
    """A monitor's time, "...05.120000000+00:00", as Go writes it: "...05.12Z"."""
    base, _, rest = text.partition(".")
    digits, zone = rest[:9].rstrip("0"), rest[9:]
    fraction = f".{digits}" if digits else ""
    return f"{base}{fraction}{'Z' if zone in ('+00:00', 'Z', '') else zone}"


def encode(line: bytes, stream: str, time: str, attrs: str) -> bytes:
    """attrs: a JSON object, "" for none. Bytes that are no UTF-8 are U+FFFD."""
    text = encode_basestring(line.decode(errors="replace"))
    marks = f'"attrs":{attrs},' if attrs else ""
    return f'{{"log":{text},"stream":"{stream}",{marks}"time":"{time}"}}\n'.encode()


def decode(line: bytes) -> LogEntry | None:
    """None for what is damaged."""
    plain = _PLAIN.fullmatch(line)
    if plain is None:
        return _decode_any(line)
    text, end, stream, second, digits = plain.groups()
    time_ns = _second_ns(second)
    if time_ns is None:
        return None
    if digits:
        time_ns += int(digits.ljust(9, b"0"))
    return LogEntry(_STREAMS[stream], time_ns, text + b"\n" if end else text)


@lru_cache(maxsize=8)
def _second_ns(text: bytes) -> int | None:
    """Of most entries it is that of the one before."""
    return nanoseconds(f"{text.decode()}Z")


class JsonJoiner(EntryJoiner):
    """Of lines of such a log."""

    def add_line(self, line: bytes) -> LogEntry | None:
        entry = decode(line)
        return None if entry is None else self.add(entry)


def _decode_any(line: bytes) -> LogEntry | None:
    try:
        value: Any = json.loads(line)
        stream, text, time = value["stream"], value["log"], nanoseconds(value["time"])
    except (ValueError, KeyError, TypeError):
        return None
    if time is None or stream not in ("stdout", "stderr") or not isinstance(text, str):
        return None
    return LogEntry(stream, time, text.encode(errors="replace"))


def ends_line(line: bytes) -> bool:
    """Whether the entry is the end of a line of output."""
    return _LINE_ENDS in line


def _time_ns(line: bytes) -> int | None:
    entry = decode(line)
    return None if entry is None else entry.time_ns


FORM = Form(ends_line, _time_ns)
