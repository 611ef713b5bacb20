"""Blobs from a registry into the content store: resumed, retried, verified.

A connection that breaks off is taken up at the byte reached, within one pull and, after a crash, by
the next one. Hashing and writing happen in a thread, a chunk at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from stackr.errors import InvalidArgument, Unavailable
from stackr.registry.client import Registry
from stackr.registry.digest import DigestMismatch
from stackr.registry.retry import pause_s
from stackr.runtime.engine.image.content import ContentStore, Ingest

__all__ = ["fetch_blob", "finish_in_thread"]

_FLUSH_BYTES: Final = 1 << 20
_P = ParamSpec("_P")
_T = TypeVar("_T")


async def fetch_blob(
    registry: Registry,
    content: ContentStore,
    *,
    digest: str,
    size_bytes: int,
    on_bytes: Callable[[int], None],
) -> None:
    """Bring one blob into the store, unless it is there.

    on_bytes: called with the bytes that have arrived so far. One caller per digest at a time.
    Raises DigestMismatch, NotFound, OSError for a full disk, and Unavailable once five attempts in
    a row have brought less than a mebibyte each.
    """
    if content.has(digest):
        return
    ingest = content.ingest(digest)
    resumed = False
    try:
        await finish_in_thread(ingest.resume)
        resumed = ingest.offset > 0
        await _fill(registry, ingest, digest, size_bytes, on_bytes)
        await finish_in_thread(ingest.commit)
        return
    except DigestMismatch:
        if not resumed:
            raise
    finally:
        ingest.close()
    # What an earlier run had left was damaged: once more, from the first byte
    await fetch_blob(registry, content, digest=digest, size_bytes=size_bytes, on_bytes=on_bytes)


async def _fill(
    registry: Registry,
    ingest: Ingest,
    digest: str,
    size_bytes: int,
    on_bytes: Callable[[int], None],
) -> None:
    if ingest.offset > size_bytes:
        ingest.restart()
    failures = 0
    while ingest.offset < size_bytes:
        before = ingest.offset
        try:
            await _stream(registry, ingest, digest, size_bytes, on_bytes)
            if ingest.offset < size_bytes:
                raise Unavailable(
                    f"blob {digest}: the registry sent {ingest.offset} of {size_bytes} bytes"
                )
        except Unavailable as error:
            failures = 0 if ingest.offset - before >= _FLUSH_BYTES else failures + 1
            await asyncio.sleep(pause_s(error, failures))


async def _stream(
    registry: Registry,
    ingest: Ingest,
    digest: str,
    size_bytes: int,
    on_bytes: Callable[[int], None],
) -> None:
    """One request's worth; what has arrived is kept, however it ends."""
    async with registry.blob(digest, offset=ingest.offset) as stream:
        if stream.offset != ingest.offset:
            ingest.restart()
        pending = bytearray()
        try:
            async for chunk in stream.chunks:
                pending += chunk
                if ingest.offset + len(pending) > size_bytes:
                    pending.clear()
                    raise InvalidArgument(f"blob {digest}: larger than {size_bytes} bytes")
                if len(pending) >= _FLUSH_BYTES:
                    full, pending = pending, bytearray()
                    await finish_in_thread(ingest.write, full)
                    on_bytes(ingest.offset)
        finally:
            if pending:
                ingest.write(pending)
                on_bytes(ingest.offset)


async def finish_in_thread(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run a blocking call in a thread, to its end even where the caller is cancelled.

    A thread cannot be stopped; leaving it behind would let it write to a file that is closed.
    """
    call = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait([call])
        if not call.cancelled():
            call.exception()  # looked at, so that asyncio does not warn of it
        raise
