"""A second copy of the engine's records, beside the database: a log of changes with checksums.

One line a change: the checksum of what follows, and a JSON list of sequence number, kind, ID and
body (null where the document was deleted). Numbers follow each other, so that a hole is seen, and a
damaged line costs that change alone. The first line has the empty kind and says from which number
on there are changes, and how many documents there were before; these come next. The file is written
anew, beside itself, when it has grown to several times of what it tells.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Changes", "Journal", "Key", "Replay", "document_lines", "read_lines"]

Key = tuple[str, str]
"""Kind and ID."""

Changes = Mapping[Key, str | None]
"""Bodies by key; None where the document is deleted."""

_SLACK_BYTES = 1 << 20
_GROWTH = 4


@dataclass(slots=True)
class Replay:
    """What a journal tells: the last change of each key with its number, and the last number.

    is_whole: nothing in it is damaged or missing, so that it alone says what there is.
    """

    changes: dict[Key, tuple[int, str | None]] = field(default_factory=dict)
    sequence: int = 0
    is_whole: bool = False

    @property
    def documents(self) -> dict[Key, str]:
        return {key: body for key, (_, body) in self.changes.items() if body is not None}


class Journal:
    """Of one data root; one writer. Methods that write raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._size = 0
        self._limit = 0

    def read(self) -> Replay:
        """What is there; an empty replay where there is none, or it cannot be read."""
        try:
            data = self._path.read_bytes()
        except OSError:
            return Replay()
        return _replayed(read_lines(data))

    def rewrite(self, documents: Mapping[Key, str], sequence: int) -> None:
        """Begin anew with these documents; `sequence` is the number of the last change."""
        self.close()
        new = self._path.with_name(f"{self._path.name}.new")
        data = document_lines(documents, sequence)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write(fd, data)
            os.rename(new, self._path)
        except BaseException:
            os.close(fd)
            new.unlink(missing_ok=True)
            raise
        self._fd, self._size = fd, len(data)
        self._limit = _GROWTH * len(data) + _SLACK_BYTES

    def resume(self) -> None:
        """Append to what is there, which is whole."""
        self.close()
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size = os.fstat(self._fd).st_size
        self._limit = _GROWTH * self._size + _SLACK_BYTES

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    @property
    def is_long(self) -> bool:
        """Whether it is to be written anew."""
        return self._size > self._limit

    def append(self, changes: Changes, sequence: int) -> None:
        """sequence: of the first change. All of them are there, or the journal is closed."""
        data = b"".join(
            _line(sequence + number, kind, id, body)
            for number, ((kind, id), body) in enumerate(changes.items())
        )
        try:
            _write(self._fd, data)
        except OSError:
            self.close()
            raise
        self._size += len(data)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def document_lines(documents: Mapping[Key, str], sequence: int = 0) -> bytes:
    """A whole journal of these documents."""
    lines = [_line(sequence, "", str(len(documents)), None)]
    lines += [_line(sequence, kind, id, body) for (kind, id), body in documents.items()]
    return b"".join(lines)


def read_lines(data: bytes) -> Iterator[tuple[int, str, str, str | None] | None]:
    """Number, kind, ID and body of each line; None for a damaged one."""
    for line in data.split(b"\n")[: -1 if data.endswith(b"\n") else None]:
        yield _parsed(line)


def _parsed(line: bytes) -> tuple[int, str, str, str | None] | None:
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    sequence, kind, id, body = json.loads(text)
    return sequence, kind, id, body


def _line(sequence: int, kind: str, id: str, body: str | None) -> bytes:
    text = json.dumps([sequence, kind, id, body], separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _replayed(lines: Iterator[tuple[int, str, str, str | None] | None]) -> Replay:
    replay = Replay()
    first = next(lines, None)
    to_come = -1
    if first is not None and first[1] == "":
        replay.sequence, to_come, replay.is_whole = first[0], int(first[2]), True
    elif first is not None:
        replay.changes[first[1], first[2]] = (first[0], first[3])
    for line in lines:
        if line is None:
            replay.is_whole = False
            continue
        sequence, kind, id, body = line
        follows = sequence == replay.sequence if to_come > 0 else sequence == replay.sequence + 1
        replay.is_whole &= follows
        to_come -= 1
        replay.sequence = max(replay.sequence, sequence)
        replay.changes[kind, id] = (sequence, body)
    replay.is_whole &= to_come <= 0
    return replay


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
