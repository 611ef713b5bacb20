"""The embedded engine's builder by its own calls; see docs/engine-api.md, "Builds"."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from stackr.build.cache_entry import CacheSource, CacheTarget
from stackr.errors import InvalidArgument, NotSupported, StackrError
from stackr.runtime.docker.build.cache_folder import INDEX, read_layout, write_layout
from stackr.runtime.docker.build.source import (
    Counted,
    dockerfile_text,
    read_folder,
    sent,
    told_size,
)
from stackr.runtime.docker.client import Client
from stackr.runtime.image_build import (
    BuildFailed,
    BuildProgress,
    ImageBuild,
    Secret,
    StateBefore,
    is_remote,
)

__all__ = ["build_own"]

_INTERVAL_S: Final = 0.5
_PREFIX: Final = "/stackr/v1/build"
_IMAGE: Final = "docker-image://"
_DEBUG: Final = "look inside: stackr build --debug opens a shell in the state before this step"


async def build_own(
    client: Client, build: ImageBuild, headers: dict[str, str]
) -> AsyncIterator[BuildProgress]:
    """Contexts are released at its end, however it ends."""
    text = dockerfile_text(build)
    async with AsyncExitStack() as uploads:
        folder = await read_folder(build.context, build.dockerfile)
        if notice := told_size(folder):
            yield BuildProgress("notice", text=notice)
        body = _body(build, text)
        pieces = Counted(sent(folder)[1])
        upload = asyncio.ensure_future(_upload(client, pieces, uploads))
        async for progress in _while_sending(upload, pieces):
            yield progress
        body["Context"] = await upload
        body["Contexts"] = {
            name: await _named(client, name, place, uploads)
            for name, place in build.contexts.items()
        }
        body["CacheFrom"] = [
            await _source(client, each, uploads)
            for each in build.cache_from
            if each.ref or Path(each.path, INDEX).is_file()
        ]
        folders = [each for each in build.cache_to if each.path]
        body["TellKeys"] = bool(folders)
        stream = client.stream("POST", _PREFIX, body=body, headers=headers)
        totals: dict[int, int] = {}
        built: list[BuildProgress] = []
        keys: dict[bool, list[str]] = {}
        async with stream as chunks:
            async for item in client.lines(chunks, _PREFIX):
                keys |= _keys(item)
                for progress in _progress(item, totals):
                    if progress.kind == "built":
                        built.append(progress)
                    else:
                        yield progress
        for target in folders:
            async for progress in _left_in(client, target, keys.get(target.is_max, [])):
                yield progress
        for progress in built:
            yield progress


async def _source(client: Client, source: CacheSource, uploads: AsyncExitStack) -> dict[str, str]:
    if source.ref:
        return {"Ref": source.ref}
    layout = await read_layout(source.path)
    return {"Upload": await _upload(client, sent(layout)[1], uploads)}


def _keys(item: dict[str, Any]) -> dict[bool, list[str]]:
    """The steps that a build tells of at its end: all (True), or those of the image."""
    return {True: item["Keys"], False: item["OwnKeys"]} if "Keys" in item else {}


async def _left_in(
    client: Client, target: CacheTarget, keys: list[str]
) -> AsyncIterator[BuildProgress]:
    """Steps in a folder of this host. Raises what an engine and a full disk raise."""
    path = f"{_PREFIX}/cache/archive"
    try:
        async with client.stream("POST", path, body={"Keys": keys}) as chunks:
            await write_layout(chunks, Path(target.path))
    except StackrError as error:
        message = f"cache_to {target.path}: {error.message}"
        if not target.ignores_errors:
            raise type(error)(message, hint=error.hint) from error
        yield BuildProgress("notice", text=f"[Warning] {message}")
    else:
        yield BuildProgress("notice", text=f"cache_to {target.path}: {len(keys)} steps")


async def _while_sending(
    upload: asyncio.Future[str], pieces: Counted
) -> AsyncIterator[BuildProgress]:
    """How far it is, until it is done or has failed."""
    try:
        while not upload.done():
            await asyncio.wait([upload], timeout=_INTERVAL_S)
            if not upload.done():
                yield BuildProgress("sending", size_bytes=pieces.size_bytes)
        upload.result()
        yield BuildProgress("sent", size_bytes=pieces.size_bytes)
    except BaseException:
        upload.cancel()
        await asyncio.gather(upload, return_exceptions=True)
        raise


async def _upload(client: Client, pieces: AsyncIterable[bytes], uploads: AsyncExitStack) -> str:
    answer = await client.call("POST", f"{_PREFIX}/contexts", body=pieces, timeout_s=None)
    context = str(answer["Id"])
    uploads.push_async_callback(_release, client, context)
    return context


async def _release(client: Client, context: str) -> None:
    """One that cannot be released goes by itself, some minutes later."""
    try:
        await client.call("DELETE", f"{_PREFIX}/contexts/{context}")
    except StackrError:
        return


async def _named(client: Client, name: str, place: str, uploads: AsyncExitStack) -> dict[str, str]:
    if place.startswith(_IMAGE):
        return {"Image": place.removeprefix(_IMAGE)}
    if "://" in place or is_remote(place):
        raise NotSupported(f"build.additional_contexts.{name}: not supported: {place}")
    folder = await read_folder(place, "")
    return {"Upload": await _upload(client, sent(folder)[1], uploads)}


def _body(build: ImageBuild, text: str) -> dict[str, Any]:
    hosts: dict[str, Any] = {
        "NetworkMode": build.network,
        "ExtraHosts": list(build.extra_hosts),
        "ShmSize": build.shm_size_bytes,
        "Memory": build.memory_bytes,
        "Ulimits": [
            {"Name": name, "Soft": soft, "Hard": hard}
            for name, (soft, hard) in build.ulimits.items()
        ],
    }
    return {
        "DockerfileText": text,
        "Target": build.target,
        "Args": dict(build.arguments),
        "Labels": dict(build.labels),
        "Tags": list(build.tags),
        "Platform": build.platform,
        "Pull": build.pull,
        "NoCache": build.no_cache,
        "NoCacheFilter": list(build.no_cache_filter),
        "HostConfig": {name: value for name, value in hosts.items() if value},
        "Secrets": {name: _content(name, each) for name, each in build.secrets.items()},
        "SSH": dict(build.ssh),
        "KeepFailure": build.keeps_failure,
        "CacheTo": [
            {"Ref": each.ref, "Max": each.is_max, "IgnoreErrors": each.ignores_errors}
            for each in build.cache_to
            if not each.path
        ],
    }


def _content(name: str, secret: Secret) -> str:
    data = secret.content.encode("utf-8", "surrogateescape")
    if secret.file:
        try:
            data = Path(secret.file).read_bytes()
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise InvalidArgument(f"build secret {name}: {secret.file}: {why}") from error
    return base64.b64encode(data).decode()


def _progress(item: dict[str, Any], totals: dict[int, int]) -> list[BuildProgress]:
    """Raises BuildFailed for the line that says so."""
    stage, number = str(item.get("Stage", "")), int(item.get("Number") or 0)
    match item.get("Kind"):
        case "step":
            total = totals[number] = int(item["Total"])
            return [BuildProgress("step", stage, number, total, item["Text"], item["Line"])]
        case "output":
            text = base64.b64decode(item["Data"]).decode(errors="replace")
            return [BuildProgress("output", stage, number, totals.get(number, 0), text)]
        case "pull":
            text = " ".join(filter(None, (item.get("Id", ""), item["Status"])))
            return [BuildProgress("pull", stage, number, totals.get(number, 0), text)]
        case "done":
            kind, total = "cached" if item["Cached"] else "done", totals.get(number, 0)
            took, size = float(item["Seconds"]), int(item.get("Size") or 0)
            return [BuildProgress(kind, stage, number, total, seconds=took, size_bytes=size)]
        case "notice":
            return [BuildProgress("notice", text=item["Text"], line=int(item.get("Line") or 0))]
        case "built":
            return [BuildProgress("built", text=item["Image"])]
        case "failed":
            raise _failure(item)
        case _:
            return []


def _failure(item: dict[str, Any]) -> StackrError:
    line, code, before = int(item.get("Line") or 0), item.get("Code"), item.get("Before")
    failure = BuildFailed(
        str(item["Message"]),
        line=line,
        end_line=int(item.get("EndLine") or line),
        code=int(code) if code is not None else None,
        hint=_DEBUG if code is not None and before is None else None,
    )
    if before is not None:
        variables = dict(each.partition("=")[::2] for each in before["Env"])
        failure.before = StateBefore(before["Image"], variables, tuple(before["Shell"]))
    return failure
