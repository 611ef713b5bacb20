"""Blobs from a registry into the content store: resumed, retried, verified.

A connection that breaks off is taken up at the byte reached, within one pull and, after a crash, by
the next one. Hashing and writing happen in a thread, a chunk at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from stackr.errors import InvalidArgument, Unavailable
from stackr.registry.client import Registry
from stackr.registry.digest import DigestMismatch
from stackr.registry.retry import ATTEMPTS, pause_s
from stackr.runtime.engine.image.content import ContentStore, Ingest
from stackr.runtime.engine.image.together import finish_in_thread

__all__ = ["fetch_blob"]

_FLUSH_BYTES: Final = 1 << 20


async def fetch_blob(
    registry: Registry,
    content: ContentStore,
    *,
    digest: str,
    size_bytes: int,
    on_bytes: Callable[[int], None],
    attempts: int = ATTEMPTS,
) -> None:
    """Bring one blob into the store, unless it is there.

    on_bytes: called with the bytes that have arrived so far. One caller per digest at a time.
    Raises DigestMismatch, NotFound, OSError for a full disk, and Unavailable once so many attempts
    in a row have brought less than a mebibyte each.
    """
    if content.has(digest):
        return
    ingest = content.ingest(digest)
    resumed = False
    try:
        await finish_in_thread(ingest.resume)
        resumed = ingest.offset > 0
        await _fill(registry, ingest, digest, size_bytes, on_bytes, attempts)
        await finish_in_thread(ingest.commit)
        return
    except DigestMismatch:
        if not resumed:
            raise
    finally:
        ingest.close()
    # What an earlier run had left was damaged: once more, from the first byte
    await fetch_blob(
        registry,
        content,
        digest=digest,
        size_bytes=size_bytes,
        on_bytes=on_bytes,
        attempts=attempts,
    )


async def _fill(
    registry: Registry,
    ingest: Ingest,
    digest: str,
    size_bytes: int,
    on_bytes: Callable[[int], None],
    attempts: int,
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
            await asyncio.sleep(pause_s(error, failures, attempts))


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
