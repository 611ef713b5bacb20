"""`/build`: images from Dockerfiles, in the manner of dockerd's classic builder.

Source: Docker Engine API, "ImageBuild", "BuildPrune".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.errors import explain
from stackr.runtime.engine.api.filters import Filters
from stackr.runtime.engine.api.http import BodyWriter, ClientGone, Request, Response, json_response
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.timestamp import rfc3339

if TYPE_CHECKING:
    from stackr.runtime.engine.build.cache import CacheRecord
    from stackr.runtime.engine.build.files import Context
    from stackr.runtime.engine.build.progress import Built
    from stackr.runtime.engine.build.service import Builder

__all__ = ["ROUTES", "Lines", "usage"]

_FILTERS: Final = frozenset(
    {"until", "id", "parent", "type", "description", "inuse", "shared", "private"}
)


class Lines:
    """The lines of a build, sent as they come; the answer begins with the first of them."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._writer: BodyWriter | None = None

    @property
    def started(self) -> bool:
        return self._writer is not None

    def write(self, data: bytes) -> None:
        self._queue.put_nowait(data)

    async def send_until(self, work: asyncio.Future[Any]) -> None:
        """Send what is written until `work` is done and all of it is sent.

        Raises ClientGone, with `work` cancelled, once nobody listens.
        """
        work.add_done_callback(lambda _: self._queue.put_nowait(None))
        gone = asyncio.ensure_future(self._request.connection.until_gone(half=True))
        gone.add_done_callback(lambda _: self._queue.put_nowait(None))
        try:
            while (data := await self._queue.get()) is not None:
                await self.send(data)
            if not work.done():
                raise ClientGone
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
        while not self._queue.empty():
            if (data := self._queue.get_nowait()) is not None:
                await self.send(data)

    async def send(self, data: bytes) -> None:
        if self._writer is None:
            self._writer = await self._request.stream("application/json")
        await self._writer.write(data)


async def _build(engine: Engine, request: Request) -> None:
    builder = await engine.builds.builder()
    from stackr.runtime.engine.api.build_lines import ClassicLines
    from stackr.runtime.engine.api.build_request import classic_request

    async with _context(builder, request) as context:
        wanted = classic_request(request, context)
        lines = Lines(request)
        classic = ClassicLines(lines.write, quiet=request.flag("q"))
        work = asyncio.ensure_future(builder.build(wanted, classic.put))
        work.add_done_callback(lambda _: classic.flush())
        await answer(lines, work, _failure_line)


async def answer(
    lines: Lines, work: asyncio.Future[Built], failure_line: Callable[[Exception], dict[str, Any]]
) -> None:
    """Send the lines of a build; one that fails before the first has a status of its own."""
    await lines.send_until(work)
    try:
        work.result()
    except Exception as error:
        if not lines.started:
            raise
        await lines.send(json.dumps(failure_line(error)).encode() + b"\r\n")


def _failure_line(error: Exception) -> dict[str, Any]:
    from stackr.runtime.engine.build.progress import StepFailed

    message = explain(error, "build")[1]["message"]
    detail: dict[str, Any] = {"message": message}
    if isinstance(error, StepFailed):
        detail["code"] = error.code
    return {"errorDetail": detail, "error": message}


@asynccontextmanager
async def _context(builder: Builder, request: Request) -> AsyncIterator[Context]:
    """The body, or what `remote` names."""
    dockerfile = request.raw_text("dockerfile") or "Dockerfile"
    address = request.text("remote")
    if address in ("", "client-session"):
        async with builder.received(request.chunks(), dockerfile=dockerfile) as context:
            yield context
        return
    async for _ in request.chunks():
        pass
    async with builder.remote(address, dockerfile=dockerfile) as context:
        yield context


async def _prune(engine: Engine, request: Request) -> Response:
    filters = Filters.parse(request.text("filters"), _FILTERS)
    keep = request.integer("keep-storage", request.integer("reserved-space", 0))
    for name in ("max-used-space", "min-free-space"):
        if request.integer(name, 0):
            raise InvalidArgument(f"{name}: not supported by the embedded engine")
    builder = await engine.builds.builder()

    def accept(record: CacheRecord) -> bool:
        return (
            filters.prefix("id", record.key)
            and filters.any_of("type", record.kind)
            and filters.any_of("parent", record.parent)
            and filters.pattern("description", record.description)
        )

    pruned = await builder.prune(
        all=request.flag("all"), keep_bytes=keep, until_ns=filters.until(), accept=accept
    )
    engine.events.publish("builder", "prune", "", {"reclaimed": str(pruned.size_bytes)})
    return json_response(
        {"CachesDeleted": list(pruned.keys) or None, "SpaceReclaimed": pruned.size_bytes}
    )


async def usage(engine: Engine) -> list[dict[str, Any]]:
    """The build cache as `/system/df` shows it."""
    cache = engine.builds.cache
    records = cache.list()
    sizes = await asyncio.to_thread(lambda: [cache.size_of(record) for record in records])
    needed = {diff_id for image in engine.images.list() for diff_id in image.diff_ids}
    return [
        {
            "ID": record.key,
            "Parents": None,
            "Type": record.kind,
            "Description": record.description,
            "InUse": cache.is_held(record.key),
            "Shared": record.diff_id in needed,
            "Size": size,
            "CreatedAt": rfc3339(record.created_ns),
            "LastUsedAt": rfc3339(record.last_used_ns),
            "UsageCount": record.uses,
        }
        for record, size in zip(records, sizes, strict=True)
    ]


ROUTES = (
    Route("POST", "/build", _build, hijacks=True),
    Route("POST", "/build/prune", _prune),
)
