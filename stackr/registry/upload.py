"""Send a blob to a repository: not what is there, out of another repository where that has it, and
from the byte reached on where a connection breaks off.

Source: OCI distribution-spec, "Pushing Blobs"; Docker's "HTTP API V2", whose registries take a blob
in one request, as long as it does not break. After a failure pieces are sent, smaller ones each
time.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from stackr.errors import InvalidArgument, StackrError, Unavailable
from stackr.registry import transport
from stackr.registry.client import Registry
from stackr.registry.digest import DigestMismatch
from stackr.registry.retry import pause_s

__all__ = ["LocalBlob", "Sent", "send_blob"]

_READ: Final = 1 << 18
_LARGEST_PIECE: Final = 64 << 20
_SMALLEST_PIECE: Final = 1 << 20
_MOST_SOURCES: Final = 3
_CANCEL_S: Final = 2.0
_MISSING: Final = 404
_REFUSED_PIECES: Final = frozenset((_MISSING, 413, 416))
_DONE: Final = (200, 201, 202, 204)
_RANGE_RE: Final = re.compile(r"(?:bytes=)?0-([0-9]{1,15})")


class Sent(Enum):
    """How a blob has come to be in the repository."""

    WAS_THERE = "Layer already exists"
    MOUNTED = "Mounted"
    PUSHED = "Pushed"


@dataclass(frozen=True, slots=True)
class LocalBlob:
    digest: str
    size_bytes: int
    path: Path


@dataclass(slots=True)
class _Upload:
    """An upload under way: where it goes on, and what of it the registry has."""

    location: URL
    offset: int = 0
    least_piece: int = _SMALLEST_PIECE


async def send_blob(
    registry: Registry,
    blob: LocalBlob,
    *,
    sources: Sequence[str] = (),
    on_bytes: Callable[[int], None] = lambda _: None,
) -> tuple[Sent, str]:
    """Have the blob in the repository; returns how it came there, and from which other one.

    sources: paths of other repositories of this registry that may have it. on_bytes: called with
    the bytes that have been sent so far. Raises as `Transport.request` does, Unavailable once five
    attempts in a row have brought less than a mebibyte each, and DigestMismatch where the registry
    keeps something else.
    """
    if await registry.blob_size(blob.digest) in (blob.size_bytes, -1):
        return Sent.WAS_THERE, ""
    sending = _Sending(registry, blob, on_bytes)
    try:
        source = await sending.begin(sources[:_MOST_SOURCES])
        if not source:
            await sending.send()
    except BaseException:
        await sending.cancel()
        raise
    kept = await registry.blob_size(blob.digest)
    if kept not in (blob.size_bytes, -1):
        has = "no such blob" if kept is None else f"{kept} bytes"
        raise DigestMismatch(
            f"blob {blob.digest}: sent {blob.size_bytes} bytes, the registry has {has}"
        )
    return (Sent.MOUNTED, source) if source else (Sent.PUSHED, "")


class _Sending:
    """One blob on its way."""

    def __init__(
        self, registry: Registry, blob: LocalBlob, on_bytes: Callable[[int], None]
    ) -> None:
        self._registry = registry
        self._blob = blob
        self._on_bytes = on_bytes
        self._upload: _Upload | None = None
        self._sent = 0
        self._piece = blob.size_bytes

    async def begin(self, sources: Sequence[str]) -> str:
        """Begin an upload, or mount the blob from the first source that has it, and return that."""
        for source in sources:
            if await self._begin_from(source):
                return source
        if self._upload is None:
            await self._begin()
        return ""

    async def _begin_from(self, source: str) -> bool:
        """Whether the blob is mounted. An upload that the registry began instead is used."""
        await self.cancel()
        query = {"mount": self._blob.digest, "from": source}
        scope = f"{self._registry.scope} repository:{source}:pull"
        try:
            return await self._post(query, scope)
        except StackrError:
            return False  # a source that may not be read, or of a registry that mounts none

    async def _begin(self) -> None:
        if await self._post({}, self._registry.scope):
            raise InvalidArgument(self._says("has stored a blob before it was sent"))

    async def _post(self, query: dict[str, str], scope: str) -> bool:
        url = self._registry.transport.base.join(URL(f"{self._registry.root}/blobs/uploads/"))
        headers = {"Content-Length": "0"}
        async with self._registry.transport.request(
            "POST", url.with_query(query), scope=scope, headers=headers, patient=True
        ) as response:
            if response.status == 201 and query:
                return True
            if response.status != 202:
                raise await self._registry.transport.unexpected(response)
            self._upload = _Upload(self._location(response), 0)
            least = response.headers.get("OCI-Chunk-Min-Length", "")
            if least.isascii() and least.isdigit():
                self._upload.least_piece = max(int(least[:12]), _SMALLEST_PIECE)
            self._sent = 0
            return False

    def _location(self, response: aiohttp.ClientResponse, default: URL | None = None) -> URL:
        location = response.headers.get("Location", "")
        if location:
            return self._registry.transport.joined(response.url, location)
        if default is None:
            raise InvalidArgument(self._says("names no place to upload to"))
        return default

    def _says(self, what: str) -> str:
        return f'registry "{self._registry.transport.domain}": {what}'

    async def send(self) -> None:
        """Send all there is to send, again and again as long as it gets on."""
        failures, reached, is_resumed, may_restart = 0, 0, False, True
        while True:
            try:
                if is_resumed:
                    await self._find_offset()
                await self._send_pieces()
                await self._finish()
                return
            except InvalidArgument:
                # The registry may have lost its place at the break: once more, from the first byte
                if not (is_resumed and may_restart):
                    raise
                may_restart = False
                await self.cancel()
            except Unavailable as error:
                is_resumed = True
                offset = self._upload.offset if self._upload else 0
                failures = 1 if offset - reached >= _SMALLEST_PIECE else failures + 1
                reached = max(reached, offset)
                least = self._upload.least_piece if self._upload else _SMALLEST_PIECE
                self._piece = max(min(self._piece, _LARGEST_PIECE) // 2, least)
                await asyncio.sleep(pause_s(error, failures))

    async def _find_offset(self) -> None:
        """Ask how much of it has arrived; begin anew where the registry knows nothing of it."""
        if self._upload is None:
            await self._begin()
            return
        async with self._registry.transport.request(
            "GET", self._upload.location, scope=self._registry.scope, patient=True
        ) as response:
            if response.status == _MISSING:
                self._upload = None
            else:
                self._take(response, self._sent, is_sure=False)
        if self._upload is None:
            await self._begin()

    def _take(self, response: aiohttp.ClientResponse, expected: int, *, is_sure: bool) -> None:
        """Where the upload goes on, as an answer says."""
        assert self._upload is not None
        told = _RANGE_RE.fullmatch(response.headers.get("Range", "").strip())
        offset = int(told[1]) + 1 if told else expected
        if offset == 1 and not (is_sure and expected == 1):
            offset = 0  # an empty upload, and one with its first byte, are both told as "0-0"
        if offset > self._sent:
            raise InvalidArgument(
                self._says(
                    f"says that it has {offset} bytes of a blob, of which {self._sent} were sent"
                )
            )
        self._upload.offset = offset
        self._upload.location = self._location(response, self._upload.location)

    async def _send_pieces(self) -> None:
        upload = self._upload
        while upload is not None and upload.offset < self._blob.size_bytes:
            end = min(upload.offset + max(self._piece, upload.least_piece), self._blob.size_bytes)
            await self._send_piece(upload, end)

    async def _send_piece(self, upload: _Upload, end: int) -> None:
        start = upload.offset
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(end - start),
            "Content-Range": f"{start}-{end - 1}",
        }
        fd = os.open(self._blob.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            async with asyncio.timeout(transport.SILENCE_S) as patience:
                async with self._registry.transport.request(
                    "PATCH",
                    upload.location,
                    scope=self._registry.scope,
                    headers=headers,
                    body=lambda: self._read(fd, start, end, patience),
                    accept=_REFUSED_PIECES,
                ) as response:
                    if response.status in _REFUSED_PIECES:
                        raise self._refused(response.status)
                    if response.status not in _DONE:
                        raise await self._registry.transport.unexpected(response)
                    self._take(response, end, is_sure=True)
        except TimeoutError as error:
            raise Unavailable(self._says("did not answer in time")) from error
        finally:
            os.close(fd)
        if upload.offset == start:
            raise Unavailable(self._says("takes nothing of a blob"))

    def _refused(self, status: int) -> StackrError:
        if status == _MISSING:
            self._upload = None
            return Unavailable(self._says("has forgotten an upload"))
        if status == 413 and self._piece <= _SMALLEST_PIECE:
            return InvalidArgument(self._says("answers 413: too large"))
        return Unavailable(self._says(f"answers {status}"))

    async def _read(
        self, fd: int, start: int, end: int, patience: asyncio.Timeout
    ) -> AsyncIterator[bytes]:
        """A part of the blob; each piece that goes out gives the registry more time."""
        position = start
        loop = asyncio.get_running_loop()
        while position < end:
            data = await asyncio.to_thread(os.pread, fd, min(_READ, end - position), position)
            if not data:
                raise InvalidArgument(f"blob {self._blob.digest}: it has become shorter")
            position += len(data)
            self._sent = max(self._sent, position)
            self._on_bytes(position)
            patience.reschedule(loop.time() + transport.SILENCE_S)
            yield data

    async def _finish(self) -> None:
        assert self._upload is not None
        url = self._upload.location.update_query(digest=self._blob.digest)
        headers = {"Content-Length": "0"}
        async with self._registry.transport.request(
            "PUT", url, scope=self._registry.scope, headers=headers
        ) as response:
            if response.status == _MISSING:
                raise self._refused(_MISSING)
            if response.status not in _DONE:
                raise await self._registry.transport.unexpected(response)
            told = response.headers.get("Docker-Content-Digest", self._blob.digest)
        self._upload = None
        if told != self._blob.digest:
            raise DigestMismatch(
                f"blob {self._blob.digest}: digest mismatch: the registry has {told[:100]!r}"
            )

    async def cancel(self) -> None:
        """Let the registry forget an upload that nobody goes on with, if it listens."""
        upload, self._upload = self._upload, None
        if upload is None:
            return
        with suppress(StackrError, TimeoutError):
            async with (
                asyncio.timeout(_CANCEL_S),
                self._registry.transport.request(
                    "DELETE", upload.location, scope=self._registry.scope
                ),
            ):
                pass
