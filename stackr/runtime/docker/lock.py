"""A project's lock in an engine that has them: an answer that lasts as long as the lock is held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from stackr.errors import Unavailable
from stackr.runtime.docker.client import Client, Query
from stackr.runtime.types import LockHolder

__all__ = ["held"]

_PATH = "/stackr/v1/locks"


@asynccontextmanager
async def held(
    client: Client, project: str, holder: LockHolder, waiting: Callable[[LockHolder], object]
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """See `protocol.SupportsLocks`."""
    query: Query = {"project": project, "pid": holder.pid, "user": holder.user, "host": holder.host}
    async with client.stream("POST", _PATH, query=query) as chunks:
        lines = client.lines(chunks, _PATH)
        async for line in lines:
            if line["state"] == "held":
                break
            waiting(_holder(line["holder"]))
        else:
            raise Unavailable(f'engine "{client.address.url}": it ended the wait for a lock')

        async def lost() -> None:
            async for _ in lines:
                pass

        yield lost


def _holder(value: Any) -> LockHolder:
    return LockHolder(value["pid"], value["user"], value["host"], value["since"] or "")
