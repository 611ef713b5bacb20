"""`/containers/{id}/{archive,export}`: files out of containers and into them, as tar archives.

Source: Docker Engine API, "ContainerArchiveInfo", "ContainerArchive", "PutContainerArchive",
"ContainerExport".
"""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Headers, Request, Response
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.timestamp import rfc3339
from stackr.runtime.engine.archive.copies import PathStat

__all__ = ["ROUTES"]

# Go's os.FileMode has bits of its own above the permissions.
_GO_KINDS: Final = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_GO_BITS: Final = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}
_TAR: Final = "application/x-tar"


def _path(request: Request) -> str:
    path = request.raw_text("path")
    if not path:
        raise InvalidArgument("bad parameter: path cannot be empty")
    return path


def _go_mode(mode: int) -> int:
    bits = sum(go for bit, go in _GO_BITS.items() if mode & bit)
    return mode & 0o777 | bits | _GO_KINDS.get(stat.S_IFMT(mode), 0)


def _stat_header(found: PathStat) -> Headers:
    value = {
        "name": found.name,
        "size": found.size,
        "mode": _go_mode(found.mode),
        "mtime": rfc3339(found.mtime_ns),
        "linkTarget": found.link_target,
    }
    encoded = base64.b64encode(json.dumps(value).encode()).decode()
    return (("X-Docker-Container-Path-Stat", encoded),)


async def _head(engine: Engine, request: Request) -> Response:
    found = await engine.containers.stat_path(request.params["id"], _path(request))
    return Response(200, b"", _stat_header(found))


async def _get(engine: Engine, request: Request) -> None:
    packed = engine.containers.pack_path(request.params["id"], _path(request))
    async with packed as (found, chunks):
        await _send(request, chunks, _TAR, _stat_header(found))


async def _put(engine: Engine, request: Request) -> Response:
    await engine.containers.extract(
        request.params["id"],
        _path(request),
        request.chunks(),
        as_user=request.flag("copyUIDGID"),
        keep_kinds=request.flag("noOverwriteDirNonDir"),
    )
    return Response(200)


async def _export(engine: Engine, request: Request) -> None:
    async with engine.containers.export(request.params["id"]) as chunks:
        await _send(request, chunks, "application/octet-stream", ())


async def _send(
    request: Request, chunks: AsyncGenerator[bytes, None], kind: str, headers: Headers
) -> None:
    writer = await request.stream(kind, headers=headers)
    async with aclosing(chunks):
        async for chunk in chunks:
            await writer.write(chunk)


def _always(_: Request) -> bool:
    return True


ROUTES = (
    Route("HEAD", "/containers/{id}/archive", _head),
    Route("GET", "/containers/{id}/archive", _get, follows=True, ends=_always),
    Route("PUT", "/containers/{id}/archive", _put),
    Route("GET", "/containers/{id}/export", _export, follows=True, ends=_always),
)
