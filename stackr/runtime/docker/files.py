"""Files of containers over the Engine API: tar archives in both directions, exports, commits.

Source: Docker Engine API, ContainerArchive, ContainerArchiveInfo, PutContainerArchive,
ContainerExport, ImageCommit.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from stackr.errors import NotFound, Unavailable
from stackr.runtime.docker.client import Client
from stackr.runtime.types import PathStat
from stackr.text import parse_json

__all__ = ["commit", "export", "get_archive", "put_archive", "stat_path"]

_STAT_HEADER = "x-docker-container-path-stat"
# Go's os.FileMode has bits of its own above the permissions.
_GO_FOLDER = 1 << 31
_GO_SPECIAL = 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21


async def stat_path(client: Client, ref: str, path: str) -> PathStat:
    """ref: as a part of an URL."""
    where = f"/containers/{ref}/archive"
    try:
        async with client.answer("HEAD", where, query={"path": path}) as (headers, _):
            return _stat(headers)
    except NotFound as error:  # the answer to HEAD has no body, and so no words
        raise NotFound(f"Could not find the file {path} in container {ref}") from error


@asynccontextmanager
async def get_archive(
    client: Client, ref: str, path: str
) -> AsyncIterator[tuple[PathStat, AsyncIterator[bytes]]]:
    where = f"/containers/{ref}/archive"
    async with client.answer("GET", where, query={"path": path}) as (headers, chunks):
        yield _stat(headers), chunks


async def put_archive(
    client: Client,
    ref: str,
    path: str,
    archive: AsyncIterator[bytes],
    *,
    as_user: bool,
    replace: bool,
) -> None:
    query = {"path": path}
    if not replace:
        query["noOverwriteDirNonDir"] = "true"
    if as_user:
        query["copyUIDGID"] = "true"
    where = f"/containers/{ref}/archive"
    await client.call("PUT", where, query=query, body=archive, timeout_s=None)


async def export(client: Client, ref: str) -> AsyncIterator[bytes]:
    async with client.stream("GET", f"/containers/{ref}/export") as chunks:
        async for chunk in chunks:
            yield chunk


async def commit(
    client: Client,
    ref: str,
    *,
    repository: str,
    tag: str,
    author: str,
    message: str,
    changes: Sequence[str],
    pause: bool,
) -> str:
    query = {
        "container": ref,
        "repo": repository or None,
        "tag": tag or None,
        "author": author or None,
        "comment": message or None,
        "changes": list(changes),
        "pause": pause,
    }
    answer = await client.call("POST", "/commit", query=query, body={}, timeout_s=None)
    return str(answer["Id"])


def _stat(headers: Mapping[str, str]) -> PathStat:
    try:
        value: dict[str, Any] = parse_json(base64.b64decode(headers[_STAT_HEADER]))
        mode = int(value.get("mode") or 0)
        return PathStat(
            name=str(value["name"]),
            size_bytes=int(value.get("size") or 0),
            is_folder=bool(mode & _GO_FOLDER),
            is_special=bool(mode & _GO_SPECIAL),
            link_target=str(value.get("linkTarget") or ""),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise Unavailable("engine: an archive without a description of its path") from error
