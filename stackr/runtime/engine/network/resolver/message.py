"""DNS messages as the resolver needs them: a query with one question, and replies to it. Pure.

Source: RFC 1035, section 4; RFC 6891, section 6.1 (OPT).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

__all__ = [
    "AAAA",
    "PTR",
    "SERVFAIL",
    "A",
    "Query",
    "Record",
    "encoded_name",
    "fitted",
    "parse_query",
    "reply",
]

A, PTR, AAAA, _OPT = 1, 12, 28, 41
SERVFAIL = 2
_IN, _ANY_CLASS = 1, 255
_QR, _OPCODE, _TC, _RD, _RA, _CD = 0x8000, 0x7800, 0x0200, 0x0100, 0x0080, 0x0010
_HEADER = struct.Struct("!HHHHHH")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_NAME_BYTES, _LABEL_BYTES = 255, 63
_UDP_BYTES = 512  # without EDNS
_OUR_UDP_BYTES = 4096
_TO_THE_QUESTION = b"\xc0\x0c"  # a name that stands at offset 12

Record = tuple[int, bytes]
"""A type and its data."""


class Query:
    """name: labels joined by dots, as asked; without the last dot, and a label's own dots escaped.

    is_internet: of the class that names are of. udp_bytes: what the asker takes in one datagram.
    """

    __slots__ = ("flags", "has_edns", "id", "is_internet", "kind", "name", "question", "udp_bytes")

    def __init__(self, id: int, flags: int, name: str, question: bytes, edns: int | None) -> None:
        self.id = id
        self.flags = flags
        self.name = name
        self.question = question
        self.kind, kind_class = _QUESTION.unpack_from(question, len(question) - _QUESTION.size)
        self.is_internet = kind_class in (_IN, _ANY_CLASS)
        self.has_edns = edns is not None
        self.udp_bytes = min(max(_UDP_BYTES, edns or 0), _OUR_UDP_BYTES)


def parse_query(data: bytes) -> Query | None:
    """None for what is no query, is malformed, or has another number of questions than one."""
    try:
        id, flags, questions, *others = _HEADER.unpack_from(data)
        if flags & (_QR | _OPCODE) or questions != 1:
            return None
        labels, at = _labels(data, _HEADER.size)
        end = at + _QUESTION.size
        if end > len(data):
            return None
        edns = _edns(data, end, sum(others))
    except (struct.error, IndexError, ValueError):
        return None
    name = ".".join(label.replace(".", "\\.") for label in labels)
    return Query(id, flags, name, data[_HEADER.size : end], edns)


def _labels(data: bytes, at: int) -> tuple[list[str], int]:
    """The labels of a name without compression, as a question's is, and where it ends."""
    labels: list[str] = []
    start = at
    while length := data[at]:
        at += 1
        if length > _LABEL_BYTES or at + length - start >= _NAME_BYTES or at + length > len(data):
            raise ValueError("no label")
        labels.append(data[at : at + length].decode("utf-8", "surrogateescape"))
        at += length
    return labels, at + 1


def _edns(data: bytes, at: int, count: int) -> int | None:
    """The datagram size that the OPT record among `count` records names."""
    size = None
    for _ in range(count):
        at = _after_name(data, at)
        kind, value, _, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size + length
        if at > len(data):
            raise ValueError("record is cut off")
        if kind == _OPT:
            size = value
    return size


def _after_name(data: bytes, at: int) -> int:
    while length := data[at]:
        if length & 0xC0 == 0xC0:
            return at + 2
        at += 1 + length
    return at + 1


def reply(query: Query, records: Iterable[Record] = (), *, ttl_s: int = 0, code: int = 0) -> bytes:
    """A reply of any length; `records` belong to the name that was asked for."""
    answers = [
        _TO_THE_QUESTION + _RECORD.pack(kind, _IN, ttl_s, len(data)) + data
        for kind, data in records
    ]
    return _packed(query, code, answers)


def _packed(query: Query, bits: int, answers: list[bytes]) -> bytes:
    flags = _QR | _RA | query.flags & (_RD | _CD) | bits
    option = b"\0" + _RECORD.pack(_OPT, _OUR_UDP_BYTES, 0, 0) if query.has_edns else b""
    header = _HEADER.pack(query.id, flags, 1, len(answers), 0, query.has_edns)
    return b"".join((header, query.question, *answers, option))


def fitted(query: Query, packet: bytes, most: int) -> bytes:
    """Cut to the records that `most` bytes take, and marked so: the asker then asks by TCP.

    packet: of `reply`. Who never asks by TCP, as musl of old, has some of the addresses.
    """
    if len(packet) <= most:
        return packet
    room = most - len(_packed(query, _TC, []))
    answers: list[bytes] = []
    for answer in _answers(query, packet):
        room -= len(answer)
        if room < 0:
            break
        answers.append(answer)
    return _packed(query, _TC, answers)


def _answers(query: Query, packet: bytes) -> Iterator[bytes]:
    """The records of a reply, each with its name, in their order."""
    _, _, _, count, _, _ = _HEADER.unpack_from(packet)
    start = _HEADER.size + len(query.question)
    for _ in range(count):
        *_, length = _RECORD.unpack_from(packet, start + len(_TO_THE_QUESTION))
        end = start + len(_TO_THE_QUESTION) + _RECORD.size + length
        yield packet[start:end]
        start = end


def encoded_name(name: str) -> bytes:
    """Raises ValueError for a name that DNS cannot carry."""
    data = b""
    for label in name.encode().split(b"."):
        if not 0 < len(label) <= _LABEL_BYTES:
            raise ValueError(f"no label: {label!r}")
        data += bytes([len(label)]) + label
    if len(data) >= _NAME_BYTES:
        raise ValueError("the name is too long")
    return data + b"\0"
