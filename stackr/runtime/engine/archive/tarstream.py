"""Read a tar archive from a stream of byte chunks: ustar, PAX and GNU long names.

Made for layers of unknown origin: nothing is trusted, memory is bounded whatever the headers say,
and sizes, counts and path lengths have declared limits. Imports the standard library alone, as it
runs in the unpacker process. Source: POSIX pax "Interchange Format"; GNU tar "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = ["ArchiveError", "Entry", "Limits", "TarReader"]

BLOCK: Final = 512
_ZERO_BLOCK: Final = bytes(BLOCK)
_EXTENSION_LIMIT: Final = 1 << 20  # of one PAX or long-name record, as Go's archive/tar
_XATTR_KEY: Final = b"SCHILY.xattr."
_LATEST_NS: Final = 2**62
_CHECKSUM: Final = slice(148, 156)

REGULAR: Final = b"0"
HARD_LINK: Final = b"1"
SYMLINK: Final = b"2"
CHAR_DEVICE: Final = b"3"
BLOCK_DEVICE: Final = b"4"
DIRECTORY: Final = b"5"
FIFO: Final = b"6"
_WITH_DATA: Final = frozenset((REGULAR,))
_REGULAR_ALIASES: Final = frozenset((b"\0", b"7"))
_KNOWN: Final = frozenset((REGULAR, HARD_LINK, SYMLINK, CHAR_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO))


class ArchiveError(Exception):
    """The archive is damaged, hostile or beyond a limit; the message is one line."""


class _UnexpectedEnd(ArchiveError):
    """The stream is over before the archive is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one layer may hold; an archive beyond is refused while it is read."""

    entries: int = 2_000_000
    path_bytes: int = 4095
    size_bytes: int = 64 << 30
    """Of the uncompressed archive."""


@dataclass(slots=True)
class Entry:
    """One member; names are raw bytes, `mtime_ns` since the epoch."""

    name: bytes
    type: bytes
    linkname: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    device: tuple[int, int]
    xattrs: dict[str, bytes] = field(default_factory=dict)

    def __str__(self) -> str:
        return show(self.name)


def show(name: bytes) -> str:
    """A name for a message: quoted, on one line, not too long."""
    text = name.decode("utf-8", "backslashreplace")
    safe = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return f'"{safe if len(safe) <= 200 else safe[:200] + "..."}"'


class TarReader:
    """Iterates over the members; `data()` gives the current one's content, once."""

    def __init__(self, chunks: Iterator[bytes], limits: Limits) -> None:
        self._chunks = chunks
        self._limits = limits
        self._buffer = memoryview(b"")
        self._unread = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        count = 0
        while (entry := self._next_entry()) is not None:
            count += 1
            if count > self._limits.entries:
                raise ArchiveError(f"more than {self._limits.entries} entries")
            yield entry
            self._skip_data()
        self._drain()

    def data(self) -> Iterator[memoryview]:
        """The current member's content, in pieces of any length."""
        while self._unread:
            piece = self._piece(self._unread)
            self._unread -= len(piece)
            yield piece

    def _next_entry(self) -> Entry | None:
        pax: dict[bytes, bytes] = {}
        name = linkname = None
        while True:
            header = self._header()
            if header is None:
                return None
            kind = header[156:157]
            if kind == b"x":
                pax = _parse_pax(self._extension(header))
            elif kind == b"g":
                self._extension(header)
            elif kind == b"L":
                name = self._extension(header).rstrip(b"\0")
            elif kind == b"K":
                linkname = self._extension(header).rstrip(b"\0")
            else:
                return self._entry(header, kind, pax, name, linkname)

    def _entry(
        self,
        header: bytes,
        kind: bytes,
        pax: dict[bytes, bytes],
        name: bytes | None,
        linkname: bytes | None,
    ) -> Entry:
        entry = _parse_header(header, kind)
        entry.name = entry.name if name is None else name
        entry.linkname = entry.linkname if linkname is None else linkname
        if pax:
            _apply_pax(entry, pax)
        _check(entry, self._limits)
        if entry.type in _WITH_DATA:
            self._unread = entry.size
            self._padding = -entry.size % BLOCK
        elif entry.type == HARD_LINK:
            # Old archives give a link the size of its target, without the content
            entry.size = 0
        elif entry.size:
            raise ArchiveError(f"{entry}: an entry of type {kind!r} has content")
        return entry

    def _header(self) -> bytes | None:
        """The next header block, checked; None at the end of the archive."""
        block = self._take(BLOCK, at_end=True)
        if block is None or block == _ZERO_BLOCK:
            return None
        stored = _number(block[_CHECKSUM], "checksum")
        if stored != sum(block[:148]) + 8 * 32 + sum(block[156:]):
            raise ArchiveError("invalid tar header: wrong checksum")
        return block

    def _extension(self, header: bytes) -> bytes:
        size = _number(header[124:136], "size")
        if size > _EXTENSION_LIMIT:
            raise ArchiveError(f"an extended header of {size} bytes")
        body = self._take(size)
        self._take(-size % BLOCK)
        return body or b""

    def _skip_data(self) -> None:
        for _ in self.data():
            pass
        if self._padding:
            # The last one is missing in what docker sends with a Dockerfile from elsewhere
            self._take(self._padding, at_end=True)
            self._padding = 0

    def _drain(self) -> None:
        """Read what follows the end mark: it belongs to the digest."""
        self._buffer = memoryview(b"")
        for _ in self._chunks:
            pass

    def _take(self, size: int, *, at_end: bool = False) -> bytes | None:
        """Exactly `size` bytes; None where the stream ends before the first, if that may be."""
        if len(self._buffer) >= size:
            taken = bytes(self._buffer[:size])
            self._buffer = self._buffer[size:]
            return taken
        parts = bytearray()
        while len(parts) < size:
            try:
                parts += self._piece(size - len(parts))
            except _UnexpectedEnd:
                if at_end and not parts:
                    return None
                raise
        return bytes(parts)

    def _piece(self, most: int) -> memoryview:
        while not self._buffer:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise _UnexpectedEnd("unexpected end of the archive")
            self._buffer = memoryview(chunk)
        piece = self._buffer[:most]
        self._buffer = self._buffer[most:]
        return piece


def _number(raw: bytes, what: str) -> int:
    """An octal field, or GNU's base-256 one; empty is 0. Negative ones are refused by `_check`."""
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big")
        bits = 8 * len(raw)
        negative = raw[0] & 0x40
        return value - (1 << bits) if negative else value & ((1 << (bits - 1)) - 1)
    digits = raw.split(b"\0", 1)[0].strip(b" ")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise ArchiveError(f"invalid tar header: {what} is {digits!r}") from None


def _parse_header(header: bytes, kind: bytes) -> Entry:
    name = header[:100].split(b"\0", 1)[0]
    if header[257:263] == b"ustar\0" and header[345]:
        name = header[345:500].split(b"\0", 1)[0] + b"/" + name
    if kind in _REGULAR_ALIASES:
        kind = DIRECTORY if name.endswith(b"/") else REGULAR
    device = (0, 0)
    if kind in (CHAR_DEVICE, BLOCK_DEVICE):
        device = (_number(header[329:337], "devmajor"), _number(header[337:345], "devminor"))
    return Entry(
        name=name,
        type=kind,
        linkname=header[157:257].split(b"\0", 1)[0],
        mode=_number(header[100:108], "mode") & 0o7777,
        uid=_number(header[108:116], "uid"),
        gid=_number(header[116:124], "gid"),
        size=_number(header[124:136], "size"),
        mtime_ns=_number(header[136:148], "mtime") * 1_000_000_000,
        device=device,
    )


def _parse_pax(body: bytes) -> dict[bytes, bytes]:
    """Records of the form `LENGTH KEY=VALUE\\n`, the length counting itself."""
    records: dict[bytes, bytes] = {}
    position = 0
    while position < len(body):
        space = body.find(b" ", position, position + 20)
        digits = body[position:space]
        if space < 0 or not digits.isdigit():
            raise ArchiveError("invalid PAX record")
        end = position + int(digits)
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if not (space < end <= len(body)) or body[end - 1 : end] != b"\n" or not equals:
            raise ArchiveError("invalid PAX record")
        records[key] = value
        position = end
    return records


def _apply_pax(entry: Entry, pax: dict[bytes, bytes]) -> None:
    entry.name = pax.get(b"path", entry.name)
    entry.linkname = pax.get(b"linkpath", entry.linkname)
    try:
        entry.size = int(pax.get(b"size", entry.size))
        entry.uid = int(pax.get(b"uid", entry.uid))
        entry.gid = int(pax.get(b"gid", entry.gid))
        if b"mtime" in pax:
            entry.mtime_ns = _nanoseconds(pax[b"mtime"])
    except ValueError:
        raise ArchiveError(f"{entry}: invalid number in a PAX record") from None
    if any(key.startswith(b"GNU.sparse.") for key in pax):
        raise ArchiveError(f"{entry}: sparse files are not supported")
    entry.xattrs = {
        key[len(_XATTR_KEY) :].decode("utf-8", "surrogateescape"): value
        for key, value in pax.items()
        if key.startswith(_XATTR_KEY)
    }


def _nanoseconds(text: bytes) -> int:
    """Decimal seconds, without the rounding of a float."""
    whole, _, fraction = text.partition(b".")
    nanoseconds = int(fraction[:9].ljust(9, b"0")) if fraction else 0
    return int(whole) * 1_000_000_000 + (-nanoseconds if whole.startswith(b"-") else nanoseconds)


def _check(entry: Entry, limits: Limits) -> None:
    if entry.type == b"S":
        raise ArchiveError(f"{entry}: sparse files are not supported")
    if entry.type not in _KNOWN:
        raise ArchiveError(f"{entry}: unhandled tar header type {entry.type!r}")
    if not entry.name or b"\0" in entry.name or b"\0" in entry.linkname:
        raise ArchiveError(f"{entry}: invalid name")
    if max(len(entry.name), len(entry.linkname)) > limits.path_bytes:
        raise ArchiveError(f"{entry}: name is longer than {limits.path_bytes} bytes")
    if not 0 <= entry.size <= limits.size_bytes:
        raise ArchiveError(f"{entry}: size {entry.size} is beyond {limits.size_bytes} bytes")
    if not (0 <= entry.uid < 2**32 - 1 and 0 <= entry.gid < 2**32 - 1):
        raise ArchiveError(f"{entry}: owner {entry.uid}:{entry.gid} is out of range")
    if any("\0" in name for name in entry.xattrs):
        raise ArchiveError(f"{entry}: invalid name of an extended attribute")
    if not -_LATEST_NS <= entry.mtime_ns <= _LATEST_NS:
        entry.mtime_ns = 0  # as Docker does with times that no file can have
    if not (0 <= entry.device[0] < 2**12 and 0 <= entry.device[1] < 2**20):
        raise ArchiveError(f"{entry}: device {entry.device} is out of range")
