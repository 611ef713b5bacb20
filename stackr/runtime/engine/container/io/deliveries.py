"""A log's entries as messages of others: syslog, GELF, fluentd, the journal. Pure.

An entry becomes one message. Source: RFC 3164, RFC 5424; Graylog's GELF 1.1; fluentd's forward
protocol, "Message Mode"; systemd's native journal protocol; moby's daemon/logger for names.
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from stackr.errors import InvalidArgument
from stackr.text import whole_number

__all__ = [
    "Address",
    "Message",
    "Origin",
    "facility",
    "fluentd",
    "gelf",
    "journal",
    "parse_address",
    "syslog",
]

_MOST_FACILITY: Final = 23
_NAMED: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp"),
)
_FACILITIES: Final = {name: number for number, name in enumerate(_NAMED)} | {
    f"local{number}": 16 + number for number in range(8)
}
_ERROR, _INFO = 3, 6
_CHUNK: Final = 8192 - 12
_MOST_CHUNKS: Final = 128


@dataclass(frozen=True, slots=True)
class Origin:
    """Of which container the messages are; marks: labels and variables that were asked for."""

    id: str
    name: str
    image: str
    image_id: str
    command: str
    created: str
    tag: str
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """text: without the newline. stream: "stdout" or "stderr"."""

    stream: str
    time_ns: int
    text: str

    @property
    def severity(self) -> int:
        return _ERROR if self.stream == "stderr" else _INFO


@dataclass(frozen=True, slots=True)
class Address:
    """scheme: udp, tcp, unix (a stream) or unixgram; host: or the socket's path."""

    scheme: str
    host: str
    port: int = 0

    @property
    def is_stream(self) -> bool:
        return self.scheme in ("tcp", "unix")


def parse_address(key: str, text: str, *, schemes: tuple[str, ...], port: int) -> Address:
    """port: where none is given, 0 for one that must be. Raises InvalidArgument."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = schemes[0], text
    if scheme not in schemes:
        raise InvalidArgument(f"{key}: {scheme}: expected one of {', '.join(schemes)}")
    if scheme.startswith("unix"):
        if not rest.startswith("/"):
            raise InvalidArgument(f"{key}: the path of a socket must be absolute: {text}")
        return Address(scheme, rest)
    try:
        parts = urlsplit(f"//{rest}")
        found = parts.port or port
    except ValueError as error:
        raise InvalidArgument(f"{key}: {text}: {error}") from error
    if not parts.hostname or not found or parts.path:
        raise InvalidArgument(f"{key}: expected proto://host:port: {text}")
    return Address(scheme, parts.hostname, found)


def facility(text: str) -> int:
    """By name or number; daemon where none is said. Raises InvalidArgument."""
    if not text:
        return _FACILITIES["daemon"]
    if text in _FACILITIES:
        return _FACILITIES[text]
    number = whole_number(text, most=_MOST_FACILITY)
    if number is None:
        raise InvalidArgument("invalid syslog facility")
    return number


def syslog(origin: Origin, message: Message, *, form: str, kind: int, is_stream: bool) -> bytes:
    """form: "", rfc3164, rfc5424 or rfc5424micro. kind: the facility's number."""
    priority = kind * 8 + message.severity
    when = datetime.fromtimestamp(message.time_ns / 1e9, UTC)
    pid, host = os.getpid(), socket.gethostname()
    if form in ("rfc5424", "rfc5424micro"):
        span = "microseconds" if form.endswith("micro") else "seconds"
        stamp = when.isoformat(timespec=span)
        text = f"<{priority}>1 {stamp} {host} {origin.tag} {pid} {origin.tag} - {message.text}"
        data = text.encode()
        return str(len(data)).encode() + b" " + data if is_stream else data
    stamp = when.strftime("%b ") + f"{when.day:2d}" + when.strftime(" %H:%M:%S")
    place = f"{host} " if form == "rfc3164" else ""
    end = "\n" if is_stream else ""
    return f"<{priority}>{stamp} {place}{origin.tag}[{pid}]: {message.text}{end}".encode()


def gelf(origin: Origin, message: Message, *, packing: str, is_stream: bool) -> Iterator[bytes]:
    """One datagram, or several where it is large. packing: gzip, zlib or none."""
    value = {
        "version": "1.1",
        "host": socket.gethostname(),
        "short_message": message.text,
        "timestamp": message.time_ns / 1e9,
        "level": message.severity,
        "_container_id": origin.id,
        "_container_name": origin.name,
        "_image_id": origin.image_id,
        "_image_name": origin.image,
        "_command": origin.command,
        "_tag": origin.tag,
        "_created": origin.created,
        **{f"_{name}": text for name, text in origin.marks.items()},
    }
    data = json.dumps(value, ensure_ascii=False).encode()
    if is_stream:
        yield data + b"\0"
        return
    if packing != "none":
        data = gzip.compress(data) if packing == "gzip" else zlib.compress(data)
    if len(data) <= _CHUNK + 12:
        yield data
        return
    parts = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    if len(parts) > _MOST_CHUNKS:
        return  # GELF has no way to say it
    head = b"\x1e\x0f" + os.urandom(8)
    for number, part in enumerate(parts):
        yield head + bytes((number, len(parts))) + part


def fluentd(origin: Origin, message: Message) -> bytes:
    """An array of tag, time and record, in MessagePack."""
    record = {
        "container_id": origin.id,
        "container_name": f"/{origin.name}",
        "source": message.stream,
        "log": message.text,
        **origin.marks,
    }
    seconds = struct.pack(">BI", 0xCE, message.time_ns // 10**9)
    packed = b"".join(_packed(text) for pair in record.items() for text in pair)
    return b"\x93" + _packed(origin.tag) + seconds + _map_head(len(record)) + packed


def _packed(text: str) -> bytes:
    data = text.encode(errors="replace")
    if len(data) < 32:
        return bytes((0xA0 | len(data),)) + data
    return struct.pack(">BI", 0xDB, len(data)) + data


def _map_head(size: int) -> bytes:
    return bytes((0x80 | size,)) if size < 16 else struct.pack(">BI", 0xDF, size)


def journal(origin: Origin, message: Message) -> bytes:
    """Fields, each with its length, as values may have newlines."""
    fields = {
        "MESSAGE": message.text,
        "PRIORITY": str(message.severity),
        "SYSLOG_IDENTIFIER": origin.tag,
        "SYSLOG_TIMESTAMP": datetime.fromtimestamp(message.time_ns / 1e9, UTC).isoformat(),
        "CONTAINER_ID": origin.id[:12],
        "CONTAINER_ID_FULL": origin.id,
        "CONTAINER_NAME": origin.name,
        "CONTAINER_TAG": origin.tag,
        "IMAGE_NAME": origin.image,
        **{_field(name): text for name, text in origin.marks.items()},
    }
    return b"".join(
        name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
        for name, text in fields.items()
        for data in (text.encode(errors="replace"),)
    )


def _field(name: str) -> str:
    """The journal's names are of capitals, digits and underscores."""
    upper = "".join(c if c.isascii() and c.isalnum() else "_" for c in name.upper())
    return upper.lstrip("_0123456789") or "FIELD"
