"""The streams of a program in a container: of an exec call, or of the container itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from stackr.errors import Unavailable
from stackr.runtime.docker.client import Client, Hijacked
from stackr.runtime.docker.frames import frames

__all__ = ["DockerExec", "DockerStreams"]

_EXIT_POLLS = 50
_EXIT_POLL_S = 0.02


class DockerStreams:
    """See `stackr.runtime.protocol.Streams`. path: of the thing that they belong to."""

    def __init__(self, client: Client, path: str, stream: Hijacked) -> None:
        self._client = client
        self._path = path
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
        query = {"h": rows, "w": columns}
        await self._client.call("POST", f"{self._path}/resize", query=query)

    async def close(self) -> None:
        await self._stream.close()


class DockerExec(DockerStreams):
    """See `stackr.runtime.protocol.ExecSession`."""

    def __init__(self, client: Client, id: str, stream: Hijacked) -> None:
        super().__init__(client, f"/exec/{id}", stream)
        self.id = id

    async def exit_code(self) -> int:
        for _ in range(_EXIT_POLLS):
            answer = await self._client.call("GET", f"{self._path}/json")
            if not answer.get("Running") and answer.get("ExitCode") is not None:
                return int(answer["ExitCode"])
            await asyncio.sleep(_EXIT_POLL_S)
        raise Unavailable(f"exec {self.id[:12]}: its output ended, and it runs on")
