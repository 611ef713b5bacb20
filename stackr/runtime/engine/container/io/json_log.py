"""The entries of a log as dockerd's json-file keeps them: one JSON object a line; pure.

{"log": "a line\\n", "stream": "stdout", "attrs": {...}, "time": "2026-01-02T03:04:05.123456789Z"};
a line of output that was too long ends without "\\n" and goes on in the next entry of its stream.
Source: moby's jsonlog.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import Any

from stackr.runtime.engine.container.io.log_seek import Form
from stackr.runtime.engine.container.io.logs import LogEntry, nanoseconds

__all__ = ["FORM", "decode", "encode", "ends_line", "stamp"]

_LINE_ENDS = b'\\n","stream":"'


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
