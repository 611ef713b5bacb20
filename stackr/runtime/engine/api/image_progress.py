"""The progress of a pull or a push as JSON lines, and its failure as the last of them.

Source: Docker Engine API, "ImageCreate", "ImagePush"; moby `pkg/jsonmessage`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from stackr.runtime.engine.api.errors import explain
from stackr.runtime.engine.api.http import Request
from stackr.runtime.engine.image.progress import ImageProgress, Report

__all__ = ["progress_line", "send_progress"]


async def send_progress(
    request: Request,
    work: Callable[[Report], Awaitable[None]],
    *,
    what: str,
    held: int = 0,
    at_once: bool = False,
) -> None:
    """Do the work, and send what it reports; it ends when the caller goes.

    what: for the log. held: how many lines come before anything has been tried; a failure until
    then has a status of its own; at_once: none has.
    """
    lines = _Lines(request, held)
    if at_once:
        await lines.send()
    doing = asyncio.ensure_future(work(lines.put))
    try:
        await lines.send_until(doing)
        await doing
    except ConnectionError:
        raise  # the caller has gone
    except Exception as error:
        if not lines.started:
            raise
        _, body = explain(error, what)
        message = body["message"]
        await lines.send({"errorDetail": {"message": message}, "error": message})
    finally:
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)


class _Lines:
    """The answer begins with the line after those that are held back."""

    def __init__(self, request: Request, most_held: int) -> None:
        self._request = request
        self._most_held = most_held
        self._queue: asyncio.Queue[ImageProgress | None] = asyncio.Queue()
        self._held: list[dict[str, Any]] = []
        self._write: Any = None

    @property
    def started(self) -> bool:
        return self._write is not None

    def put(self, progress: ImageProgress) -> None:
        self._queue.put_nowait(progress)

    async def send_until(self, work: asyncio.Future[None]) -> None:
        """Send what is put, until the work is done and all of it is sent."""
        work.add_done_callback(lambda _: self._queue.put_nowait(None))
        while (progress := await self._queue.get()) is not None:
            self._held.append(progress_line(progress))
            if self.started or len(self._held) > self._most_held:
                held, self._held = self._held, []
                await self.send(*held)

    async def send(self, *lines: dict[str, Any]) -> None:
        if self._write is None:
            self._write = (await self._request.stream("application/json")).write
        await self._write(b"".join(json.dumps(line).encode() + b"\r\n" for line in lines))


def progress_line(progress: ImageProgress) -> dict[str, Any]:
    if progress.pushed is not None:
        digest, size = progress.pushed
        return {"progressDetail": {}, "aux": {"Tag": progress.id, "Digest": digest, "Size": size}}
    if progress.is_stream:
        return {"stream": progress.status}
    line: dict[str, Any] = {"status": progress.status}
    if progress.id is not None:
        line["id"] = progress.id
        line["progressDetail"] = {}
    if progress.current is not None:
        line["progressDetail"] = {"current": progress.current, "total": progress.total}
    return line
