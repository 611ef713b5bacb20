"""A command in a running container, over the Engine API's exec calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from stackr.errors import Unavailable
from stackr.runtime.docker.client import Client, Hijacked
from stackr.runtime.docker.frames import frames

__all__ = ["DockerExec"]

_EXIT_POLLS = 50
_EXIT_POLL_S = 0.02


class DockerExec:
    """See `stackr.runtime.protocol.ExecSession`."""

    def __init__(self, client: Client, id: str, stream: Hijacked) -> None:
        self.id = id
        self._client = client
        self._stream = stream

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        async for stream, data in frames(self._chunks(), is_raw=self._stream.is_raw):
            yield stream, data

    async def _chunks(self) -> AsyncIterator[bytes]:
        while data := await self._stream.read():
            yield data

    async def write(self, data: bytes) -> None:
        await self._stream.write(data)

    async def close_stdin(self) -> None:
        await self._stream.close_write()

    async def resize(self, *, rows: int, columns: int) -> None:
        await self._client.call("POST", f"/exec/{self.id}/resize", query={"h": rows, "w": columns})

    async def exit_code(self) -> int:
        for _ in range(_EXIT_POLLS):
            answer = await self._client.call("GET", f"/exec/{self.id}/json")
            if not answer.get("Running") and answer.get("ExitCode") is not None:
                return int(answer["ExitCode"])
            await asyncio.sleep(_EXIT_POLL_S)
        raise Unavailable(f"exec {self.id[:12]}: its output ended, and it runs on")

    async def close(self) -> None:
        await self._stream.close()
