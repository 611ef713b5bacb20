"""`/stackr/v1/build`: builds for stackr's own client; see docs/engine-api.md.

POST   /build/contexts      an archive, kept until it is released or 10 minutes unused
DELETE /build/contexts/ID
POST   /build               what to build of them, as JSON; events as JSON lines
GET    /build/cache         what is remembered, by key
POST   /build/cache/archive what is remembered of some keys, with the layers, as an OCI layout
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from stackr.errors import InvalidArgument
from stackr.registry.reference import parse_reference
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.body import boolean, object_at, string, string_map
from stackr.runtime.engine.api.build import Lines, answer
from stackr.runtime.engine.api.build_request import registry_config
from stackr.runtime.engine.api.errors import explain
from stackr.runtime.engine.api.http import BodyWriter, Request, Response, json_response
from stackr.runtime.engine.api.route import Route, check_query

if TYPE_CHECKING:
    from stackr.runtime.engine.build.progress import BuildEvent
    from stackr.runtime.engine.build.request import BuildRequest, CacheFrom, CacheTo, NamedContext
    from stackr.runtime.engine.build.service import Builder

__all__ = ["ROUTES"]

_PREFIX: Final = "/stackr/v1/build"
_KEYS: Final = frozenset(
    {
        *(
            "Context",
            "Dockerfile",
            "DockerfileText",
            "Target",
            "Args",
            "Labels",
            "Tags",
            "Platform",
        ),
        *("Pull", "NoCache", "NoCacheFilter", "HostConfig", "Contexts", "Secrets", "SSH"),
        *("CacheFrom", "CacheTo", "TellKeys", "KeepFailure"),
    }
)
_HOST_KEYS: Final = frozenset(
    {"NetworkMode", "ExtraHosts", "ShmSize", "Ulimits", "Memory", "CgroupParent"}
)


async def _receive(engine: Engine, request: Request) -> Response:
    check_query(request, "dockerfile")
    builder = await engine.builds.builder()
    dockerfile = request.raw_text("dockerfile") or "Dockerfile"
    return json_response({"Id": await builder.keep(request.chunks(), dockerfile=dockerfile)}, 201)


async def _release(engine: Engine, request: Request) -> Response:
    check_query(request)
    builder = await engine.builds.builder()
    await builder.release(request.params["id"])
    return Response(204, None)


async def _build(engine: Engine, request: Request) -> None:
    check_query(request)
    builder = await engine.builds.builder()
    body = await request.json_object()
    for key in body:
        if key not in _KEYS:
            raise InvalidArgument(f"unknown key: {key}")
    auths = registry_config(request.headers.get("x-registry-config", ""))
    with builder.using(_uploads(body)):
        wanted = _request(builder, body, auths)
        lines = Lines(request)
        work = asyncio.ensure_future(
            builder.build(wanted, lambda event: lines.write(_line(_event(event))))
        )
        await answer(lines, work, _failure)


def _uploads(body: Mapping[str, Any]) -> list[str]:
    named = [string(each, "Upload") for each in object_at(body, "Contexts").values()]
    named += [string(each, "Upload") for each in _objects(body, "CacheFrom")]
    return [each for each in (string(body, "Context"), *named) if each]


def _request(builder: Builder, body: Mapping[str, Any], auths: Mapping[str, Any]) -> BuildRequest:
    from stackr.runtime.engine.build.request import BuildRequest

    text = body.get("DockerfileText")
    hosts = object_at(body, "HostConfig")
    for key in hosts:
        if key not in _HOST_KEYS:
            raise InvalidArgument(f"HostConfig.{key}: not supported in a build")
    return BuildRequest(
        builder.context(string(body, "Context")),
        dockerfile=string(body, "Dockerfile") or "Dockerfile",
        text=string(body, "DockerfileText").encode() if text is not None else None,
        target=string(body, "Target"),
        arguments=string_map(body, "Args"),
        labels=string_map(body, "Labels"),
        tags=tuple(_strings(body, "Tags")),
        platform=string(body, "Platform"),
        pull=boolean(body, "Pull"),
        no_cache=boolean(body, "NoCache"),
        no_cache_filter=frozenset(_strings(body, "NoCacheFilter")),
        host_config=hosts,
        contexts={
            name: _named(builder, name, each) for name, each in object_at(body, "Contexts").items()
        },
        secrets={
            name: _bytes(f"Secrets.{name}", each)
            for name, each in string_map(body, "Secrets").items()
        },
        ssh=string_map(body, "SSH"),
        auths=auths,
        cache_from=tuple(_source(builder, each) for each in _objects(body, "CacheFrom")),
        cache_to=tuple(map(_target, _objects(body, "CacheTo"))),
        tells_keys=boolean(body, "TellKeys"),
        keeps_failure=boolean(body, "KeepFailure"),
    )


def _source(builder: Builder, value: Mapping[str, Any]) -> CacheFrom:
    from stackr.runtime.engine.build.request import CacheFrom

    if len(value) == 1 and (upload := string(value, "Upload")):
        return CacheFrom(files=builder.context(upload))
    if len(value) == 1 and (ref := string(value, "Ref")):
        parse_reference(ref)
        return CacheFrom(ref=ref)
    raise InvalidArgument("CacheFrom: Upload or Ref is expected")


def _target(value: Mapping[str, Any]) -> CacheTo:
    from stackr.runtime.engine.build.request import CacheTo

    for key in value:
        if key not in ("Ref", "Max", "IgnoreErrors"):
            raise InvalidArgument(f"CacheTo: unknown key: {key}")
    if ref := string(value, "Ref"):
        parse_reference(ref)
    return CacheTo(ref, boolean(value, "Max"), boolean(value, "IgnoreErrors"))


def _named(builder: Builder, name: str, value: Any) -> NamedContext:
    from stackr.runtime.engine.build.request import NamedContext

    if not isinstance(value, dict) or len(value) != 1:
        raise InvalidArgument(f"Contexts.{name}: Upload or Image is expected")
    if image := string(value, "Image"):
        return NamedContext(image=image)
    return NamedContext(files=builder.context(string(value, "Upload")))


def _objects(body: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = body.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InvalidArgument(f"invalid JSON: {key}: expected a list of objects")
    return value


def _strings(body: Mapping[str, Any], key: str) -> list[str]:
    value = body.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidArgument(f"invalid JSON: {key}: expected a list of strings")
    return value


def _bytes(key: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise InvalidArgument(f"{key}: expected base64") from None


def _event(event: BuildEvent) -> dict[str, Any]:
    """Its kind, and its fields in the spelling of the API."""
    from stackr.runtime.engine.build.event_json import event_json

    return event_json(event)


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _failure(error: Exception) -> dict[str, Any]:
    from stackr.build.errors import DockerfileError
    from stackr.runtime.engine.build.progress import StepFailed

    status, body = explain(error, "build")
    value: dict[str, Any] = {"Kind": "failed", "Status": status, "Message": body["message"]}
    if isinstance(error, StepFailed):
        value |= {"Code": error.code, "Stage": error.stage}
        value |= {"Line": error.line, "EndLine": error.end_line}
        if (before := error.before) is not None:
            value["Before"] = {
                "Image": before.image,
                "Env": list(before.environment),
                "Shell": list(before.shell),
            }
    elif isinstance(error, DockerfileError) and error.line:
        value["Line"] = error.line
    return value


async def _cache(engine: Engine, request: Request) -> Response:
    check_query(request)
    return json_response(
        {
            record.key: {
                "Layer": record.diff_id,
                "Size": record.size_bytes,
                "Created": record.created,
                "Parent": record.parent,
                "Description": record.description,
            }
            for record in engine.builds.cache.list()
            if record.kind == "regular"
        }
    )


async def _archive(engine: Engine, request: Request) -> None:
    """What a client keeps in a folder of its own."""
    check_query(request)
    builder = await engine.builds.builder()
    keys = _strings(await request.json_object(), "Keys")
    writer: BodyWriter | None = None
    async with aclosing(builder.exporter.archive(keys)) as pieces:
        async for piece in pieces:
            if writer is None:
                writer = await request.stream("application/x-tar")
            await writer.write(piece)


ROUTES = (
    Route("POST", f"{_PREFIX}/contexts", _receive),
    Route("DELETE", f"{_PREFIX}/contexts/{{id}}", _release),
    Route("GET", f"{_PREFIX}/cache", _cache),
    Route("POST", f"{_PREFIX}/cache/archive", _archive, hijacks=True),
    Route("POST", _PREFIX, _build, hijacks=True),
)
