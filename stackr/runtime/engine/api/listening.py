"""Work that goes on only as long as its client listens."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from stackr.runtime.engine.api.http import ClientGone, Connection

__all__ = ["while_listening"]

_T = TypeVar("_T")


async def while_listening(connection: Connection, work: asyncio.Future[_T], *, half: bool) -> _T:
    """The result of `work`, which is cancelled once the client has gone; see `until_gone`."""
    gone = asyncio.ensure_future(connection.until_gone(half=half))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        work.cancel()
        await asyncio.wait((work,))
        raise ClientGone
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
