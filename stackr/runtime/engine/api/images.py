"""`/images` and `/distribution`: pull, push, list, inspect, tag and remove.

Source: Docker Engine API, "Image" and "Distribution".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stackr.errors import Internal, InvalidArgument, NotSupported, Unauthorized, Unavailable
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.body import string
from stackr.runtime.engine.api.credentials import credentials_from, registry_auth
from stackr.runtime.engine.api.filters import Filters
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.image_archives import asked_platform, import_image
from stackr.runtime.engine.api.image_json import (
    created_ns,
    inspection,
    manifest_json,
    matching_names,
    shared_sizes,
    summary,
    without_intermediate,
)
from stackr.runtime.engine.api.image_progress import send_progress
from stackr.runtime.engine.api.listening import while_listening
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.timestamp import parse_time
from stackr.runtime.engine.image.attestation import Statement
from stackr.runtime.engine.image.model import Image, ImageUse
from stackr.runtime.engine.image.platform import check_made_for
from stackr.runtime.engine.image.progress import Report
from stackr.text import parse_json

if TYPE_CHECKING:
    from stackr.runtime.engine.container.records.record import Container

__all__ = ["ROUTES", "summaries", "to_json", "uses_of"]

_LIST_FILTERS = frozenset({"before", "dangling", "label", "reference", "since", "until"})
_SEARCH_FILTERS = frozenset({"is-automated", "is-official", "stars"})
_MOST_FOUND = 100
_PRUNE_FILTERS = frozenset({"dangling", "label", "label!", "until"})


def uses_of(engine: Engine, image_id: str) -> list[ImageUse]:
    """The containers made from an image or with a mount of it, as `ImageBackend.remove` asks."""
    return [
        ImageUse(container.id, container.state.status.is_up)
        for container in engine.containers.list()
        if image_id == container.image_id or _mounts_image(container, image_id)
    ]


def _mounts_image(container: Container, image_id: str) -> bool:
    return any(mount.type == "image" and mount.name == image_id for mount in container.mounts)


def summaries(
    engine: Engine, images: Sequence[Image], version: tuple[int, int], *, shared: bool = False
) -> list[dict[str, Any]]:
    """Images as a list shows them. shared: with the bytes that they share with others."""
    sizes: Mapping[str, int] = {}
    if shared:
        sizes = shared_sizes(engine.images.list(), engine.images.layer_sizes())
    return [
        summary(
            image,
            version,
            containers=len(uses_of(engine, image.id)),
            shared_size=sizes.get(image.id, -1),
        )
        for image in images
    ]


def to_json(engine: Engine, image: Image, version: tuple[int, int]) -> dict[str, Any]:
    """An image as it is inspected."""
    return inspection(image, version, engine.images.layer_folders(image))


async def _list(engine: Engine, request: Request) -> Response:
    filters = Filters.parse(request.text("filters"), _LIST_FILTERS)
    before = [created_ns(engine.images.get(name)) for name in filters.get("before")]
    since = [created_ns(engine.images.get(name)) for name in filters.get("since")]
    until_ns = filters.until()
    dangling = filters.boolean("dangling", default=False) if "dangling" in filters else None
    images = [
        image
        for image in _listed(engine, filters, takes_all=request.flag("all"))
        if dangling in (None, not image.repo_tags)
        and filters.labels(image.config.get("Labels") or {})
        and all(created_ns(image) < limit for limit in before)
        and all(created_ns(image) > limit for limit in since)
        and (until_ns is None or created_ns(image) < until_ns)
    ]
    shared = request.flag("shared-size")
    shown = summaries(engine, images, request.api_version, shared=shared)
    if request.flag("manifests") and request.api_version >= (1, 47):
        for value, image in zip(shown, images, strict=True):
            value["Manifests"] = await _manifests(engine, image)
    elif request.flag("identity") and request.api_version >= (1, 54):
        raise InvalidArgument("conflicting options: identity requires manifests=1")
    return json_response(shown)


async def _manifests(engine: Engine, image: Image) -> list[dict[str, Any]]:
    """All that are named by the index by which it came, with what of them is here."""
    containers = [use.container_id for use in uses_of(engine, image.id)]
    found = await asyncio.to_thread(engine.images.manifests, image.id)
    return [manifest_json(each, image, containers) for each in found]


def _listed(engine: Engine, filters: Filters, *, takes_all: bool) -> list[Image]:
    """With the names that are asked for."""
    if "reference" in filters:
        images = engine.images.list()
        images = [matching_names(image, filters.get("reference")) for image in images]
        return [image for image in images if image.repo_tags or image.repo_digests]
    return engine.images.list() if takes_all else without_intermediate(engine.images.list())


async def _inspect(engine: Engine, request: Request) -> Response:
    wants_manifests = request.flag("manifests") and request.api_version >= (1, 48)
    if wants_manifests and request.text("platform"):
        raise InvalidArgument(
            "conflicting options: manifests and platform options cannot both be set"
        )
    image = engine.images.get(request.params["name"])
    _check_platform(engine, request, request.params["name"])
    shown = to_json(engine, image, request.api_version)
    if wants_manifests:
        shown["Manifests"] = await _manifests(engine, image)
    return json_response(shown)


async def _history(engine: Engine, request: Request) -> Response:
    _check_platform(engine, request, request.params["name"])
    return json_response(
        [
            {
                "Id": entry.id,
                "Created": (parse_time(entry.created, "created") or 0) // 1_000_000_000,
                "CreatedBy": entry.created_by,
                "Tags": list(entry.tags) or None,
                "Size": entry.size_bytes,
                "Comment": entry.comment,
            }
            for entry in engine.images.history(request.params["name"])
        ]
    )


async def _attestations(engine: Engine, request: Request) -> Response:
    platform, kinds = asked_platform(request), request.query.get("type", ())
    found = await asyncio.to_thread(engine.images.attestations, request.params["name"], platform)
    chosen = [each for each in found if not kinds or each.predicate_type in kinds]
    shown = [
        {"Descriptor": dict(each.descriptor), "PredicateType": each.predicate_type}
        for each in chosen
    ]
    if request.flag("statement"):
        for each, statement in zip(shown, chosen, strict=True):
            each["Statement"] = await asyncio.to_thread(_said, engine, statement)
    return json_response(shown)


def _said(engine: Engine, statement: Statement) -> Any:
    """Raises Internal for what is no JSON."""
    try:
        return parse_json(engine.images.statement(statement))
    except ValueError as error:
        raise Internal(f"attestation statement {statement.digest}: {error}") from error


async def _create(engine: Engine, request: Request) -> None:
    if request.text("fromSrc"):
        await import_image(engine, request)
    else:
        pulling = asyncio.ensure_future(_pull(engine, request))
        await while_listening(request.connection, pulling, half=True)


async def _pull(engine: Engine, request: Request) -> None:
    name, tag = request.text("fromImage"), request.text("tag")
    reference = _pull_reference(name, tag)
    auth = registry_auth(request.headers.get("x-registry-auth", ""))
    platform = request.text("platform") or None

    async def pull(report: Report) -> None:
        with _failing_as_dockerd():
            references: Sequence[str] = [reference]
            if _means_all_tags(name, tag):
                references = await engine.images.remote_tags(reference, auth=auth)
            for each in references:
                await engine.images.pull(each, platform=platform, auth=auth, progress=report)

    await send_progress(request, pull, what=f"pull of {reference}", held=1)


async def _push(engine: Engine, request: Request) -> None:
    name, tag = request.params["name"], request.text("tag")
    auth = registry_auth(request.headers.get("x-registry-auth", ""))
    _check_platform(engine, request, f"{name}:{tag}" if tag else name)

    async def push(report: Report) -> None:
        with _failing_as_dockerd():
            await engine.images.push(name, tag=tag, auth=auth, progress=report)

    await send_progress(request, push, what=f"push of {name}")


@contextmanager
def _failing_as_dockerd() -> Iterator[None]:
    """A registry that is out of reach is no unavailable engine: clients wait for such a one."""
    try:
        yield
    except Unavailable as error:
        raise Internal(error.message, hint=error.hint) from error


def _check_platform(engine: Engine, request: Request, name: str) -> Image | None:
    """Raises NotFound where a platform is asked for and the image is of another."""
    platform = asked_platform(request)
    if platform is None:
        return None
    image = engine.images.get(name)
    found = {"os": image.os, "architecture": image.architecture, "variant": image.variant}
    check_made_for(found, platform, name=name)
    return image


def _means_all_tags(name: str, tag: str) -> bool:
    return not tag and "@" not in name and ":" not in name.rpartition("/")[2]


def _pull_reference(name: str, tag: str) -> str:
    """`fromImage` and `tag` as one reference; the tag may be a digest."""
    name = name.rstrip(":")
    if not name:
        raise InvalidArgument("invalid reference format")
    if tag:
        return f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
    return name


async def _tag(engine: Engine, request: Request) -> Response:
    repository, tag = request.text("repo"), request.text("tag")
    engine.images.tag(request.params["name"], f"{repository}:{tag}" if tag else repository)
    return Response(201)


async def _delete(engine: Engine, request: Request) -> Response:
    if any(request.query.get("platforms", ())):
        raise NotSupported("platforms: an image has one platform here: it is removed whole")
    removals = await engine.images.remove(
        request.params["name"],
        force=request.flag("force"),
        prune=not request.flag("noprune"),
        in_use=lambda image_id: uses_of(engine, image_id),
    )
    return json_response(removals)


async def _prune(engine: Engine, request: Request) -> Response:
    filters = Filters.parse(request.text("filters"), _PRUNE_FILTERS)
    until_ns = filters.until()

    def accept(image: Image) -> bool:
        labels = image.config.get("Labels") or {}
        return (
            filters.labels(labels)
            and filters.without_labels(labels)
            and (until_ns is None or created_ns(image) < until_ns)
        )

    removals, reclaimed = await engine.images.prune(
        dangling_only=filters.boolean("dangling", default=True),
        in_use=lambda image_id: uses_of(engine, image_id),
        accept=accept,
    )
    engine.events.publish("image", "prune", "", {"reclaimed": str(reclaimed)})
    return json_response({"ImagesDeleted": removals or None, "SpaceReclaimed": reclaimed})


async def _distribution(engine: Engine, request: Request) -> Response:
    auth = registry_auth(request.headers.get("x-registry-auth", ""))
    with _failing_as_dockerd():
        found = await engine.images.resolve(request.params["name"], auth=auth)
    return json_response(
        {
            "Descriptor": {
                "mediaType": found.media_type,
                "digest": found.digest,
                "size": found.size_bytes,
            },
            "Platforms": [
                {"architecture": p.architecture, "os": p.os}
                | ({"variant": p.variant} if p.variant else {})
                for p in found.platforms
            ],
        }
    )


async def _search(engine: Engine, request: Request) -> Response:
    """Registries of today have no search; Docker Hub's own was none of the distribution's API."""
    Filters.parse(request.text("filters"), _SEARCH_FILTERS)
    limit = request.optional_integer("limit")
    if limit is not None and not 1 <= limit <= _MOST_FOUND:
        raise InvalidArgument(f"limit {limit} is outside the range of [1, {_MOST_FOUND}]")
    term = request.text("term")
    if not term:
        raise InvalidArgument("term: a name is expected")
    raise Internal(f'search for "{term}": registries cannot be searched by this engine')


async def _auth(engine: Engine, request: Request) -> Response:
    body = await request.json_object()
    auth = credentials_from(body)
    try:
        with _failing_as_dockerd():
            await engine.images.log_in(string(body, "serveraddress"), auth)
    except Unauthorized as error:
        raise Unauthorized(f"login attempt failed: {error.message}") from error
    return json_response({"IdentityToken": "", "Status": "Login Succeeded"})


ROUTES = (
    Route("GET", "/images/json", _list),
    Route("POST", "/images/create", _create, hijacks=True),
    Route("GET", "/images/search", _search),
    Route("POST", "/auth", _auth),
    Route("POST", "/images/prune", _prune),
    Route("GET", "/images/{name:path}/json", _inspect),
    Route("GET", "/images/{name:path}/history", _history),
    Route("GET", "/images/{name:path}/attestations", _attestations),
    Route("POST", "/images/{name:path}/push", _push, follows=True),
    Route("POST", "/images/{name:path}/tag", _tag),
    Route("DELETE", "/images/{name:path}", _delete),
    Route("GET", "/distribution/{name:path}/json", _distribution),
)
