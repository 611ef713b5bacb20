"""`/images/get`, `/images/load`, and the import of a file system: images as archives.

Source: Docker Engine API, "ImageGet", "ImageGetAll", "ImageLoad", "ImageCreate".
"""

from __future__ import annotations

import time
from contextlib import aclosing

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Request
from stackr.runtime.engine.api.image_progress import send_progress
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.timestamp import rfc3339
from stackr.runtime.engine.image.archives import Import
from stackr.runtime.engine.image.changes import apply_changes
from stackr.runtime.engine.image.names import taggable
from stackr.runtime.engine.image.platform import Platform, parse_platform, platform_of
from stackr.runtime.engine.image.progress import ImageProgress, Report
from stackr.text import parse_json

__all__ = ["ROUTES", "asked_platform", "import_image"]


def asked_platform(request: Request) -> Platform | None:
    """`platform`, a JSON object as OCI has it. Raises InvalidArgument for another, and for two."""
    texts = [text for text in request.query.get("platform", ()) if text]
    if len(texts) > 1:
        raise InvalidArgument("multiple platform parameters not supported")
    if not texts:
        return None
    try:
        platform = platform_of(parse_json(texts[0]))
    except ValueError:
        platform = None
    if platform is None:
        raise InvalidArgument(f"failed to parse platform: {texts[0][:100]}")
    return platform


async def _get(engine: Engine, request: Request) -> None:
    await _send(engine, request, [request.params["name"]])


async def _get_all(engine: Engine, request: Request) -> None:
    await _send(engine, request, request.query.get("names", []))


async def _send(engine: Engine, request: Request, names: list[str]) -> None:
    async with engine.images.archives.saved(names, asked_platform(request)) as pieces:
        writer = await request.stream("application/x-tar")
        async with aclosing(pieces):
            async for piece in pieces:
                await writer.write(piece)


async def _load(engine: Engine, request: Request) -> None:
    """The archive is read first: progress is told of what is unpacked then."""
    platform = asked_platform(request)
    is_quiet = request.flag("quiet", default=True)

    async def load(report: Report) -> None:
        def tell(progress: ImageProgress) -> None:
            if progress.is_stream or not is_quiet:
                report(progress)

        await engine.images.archives.load(request.chunks(), platform=platform, progress=tell)

    await send_progress(request, load, what="load of images", at_once=True)


async def import_image(engine: Engine, request: Request) -> None:
    """`POST /images/create` with `fromSrc`."""
    source = request.text("fromSrc")
    if source != "-":
        raise NotSupported(f"fromSrc: an address is not supported by this engine: {source[:200]}")
    asked = _import(request, source)

    async def work(report: Report) -> None:
        image = await engine.images.archives.import_root(request.chunks(), asked)
        report(ImageProgress(image.id))

    await send_progress(request, work, what="import of an image")


def _import(request: Request, source: str) -> Import:
    repository, tag = request.text("repo"), request.text("tag")
    if tag and not repository:
        raise InvalidArgument("tag: a repository is expected with it")
    changes = [line for text in request.query.get("changes", ()) for line in text.splitlines()]
    platform = request.text("platform")
    return Import(
        created=rfc3339(time.time_ns()),
        config=apply_changes({}, changes),
        name=taggable(f"{repository}:{tag}" if tag else repository) if repository else None,
        message=request.text("message") or f"Imported from {source}",
        platform=parse_platform(platform) if platform else None,
    )


def _always(_: Request) -> bool:
    return True


ROUTES = (
    Route("GET", "/images/get", _get_all, follows=True, ends=_always),
    Route("GET", "/images/{name:path}/get", _get, follows=True, ends=_always),
    Route("POST", "/images/load", _load, hijacks=True),
)
