"""Pushes: what is sent, what is not, and registries that lie, stall and break off."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from image_parts import Parts
from misbehaving_registry import MisbehavingRegistry
from oci_builder import BuiltImage, archive, build, digest_of, member
from uploading_registry import UploadingRegistry

from stackr.errors import (
    InvalidArgument,
    NotFound,
    PermissionDenied,
    StackrError,
    Unauthorized,
    Unavailable,
)
from stackr.registry import retry, transport
from stackr.registry.auth import RegistryAuth
from stackr.registry.digest import short_id
from stackr.runtime.engine.image.progress import ImageProgress

pytestmark = pytest.mark.root

NOISE = os.urandom(5 << 20)
BASE = archive(member("etc/"), member("etc/name", b"base"))
BUILT = build(BASE, archive(member("big", NOISE)), Cmd=["/app"])


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST_PAUSE_S", 0.001)


@pytest.fixture
async def target() -> AsyncIterator[UploadingRegistry]:
    async with UploadingRegistry() as registry:
        yield registry


async def have(
    parts: Parts, source: MisbehavingRegistry, name: str, built: BuiltImage = BUILT
) -> None:
    """An image under another name, as it came from its registry."""
    reference = source.add(built)
    await parts.images.pull(reference)
    parts.images.tag(reference, name)


async def push(parts: Parts, name: str, **options: Any) -> list[ImageProgress]:
    lines: list[ImageProgress] = []
    await parts.images.push(name, progress=lines.append, **options)
    return lines


async def test_an_image_is_pushed_whole(
    parts: Parts, bad_registry: MisbehavingRegistry, target: UploadingRegistry
) -> None:
    name = f"{target.host}/team/app"
    await have(parts, bad_registry, f"{name}:v1")
    lines = await push(parts, name, tag="v1")
    assert target.tagged == {"team/app:v1": BUILT.manifest}
    assert target.has("team/app") == set(BUILT.blobs)
    statuses = [(line.id, line.status) for line in lines]
    big = short_id(BUILT.diff_ids[1])
    assert statuses[0] == (None, f"The push refers to repository [{name}]")
    assert statuses[1:3] == [(short_id(each), "Preparing") for each in reversed(BUILT.diff_ids)]
    assert statuses.index((big, "Pushing")) < statuses.index((big, "Pushed"))
    end = f"v1: digest: {BUILT.digest} size: {len(BUILT.manifest)}"
    assert statuses[-2:] == [(None, end), ("v1", "")]
    assert lines[-1].pushed == (BUILT.digest, len(BUILT.manifest))
    assert f"{name}@{BUILT.digest}" in parts.images.get(f"{name}:v1").repo_digests
    assert [e.action for e in parts.events.kept()][-1] == "push"
    assert not target.uploads


async def test_what_is_there_is_not_sent(
    parts: Parts, bad_registry: MisbehavingRegistry, target: UploadingRegistry
) -> None:
    name = f"{target.host}/app:1"
    await have(parts, bad_registry, name)
    await push(parts, name)
    target.heard.clear()
    lines = await push(parts, name)
    assert [line.status for line in lines].count("Layer already exists") == 2
    assert {heard.method for heard in target.heard} == {"HEAD", "PUT"}


async def test_layers_are_mounted_from_where_they_were_pulled(
    parts: Parts, target: UploadingRegistry
) -> None:
    reference = target.add(BUILT, "base/image")
    target.has("base/image").update(BUILT.blobs)
    await parts.images.pull(reference)
    parts.images.tag(reference, f"{target.host}/copy:1")
    lines = await push(parts, f"{target.host}/copy:1")
    assert [line.status for line in lines].count("Mounted from base/image") == 2
    assert not target.count("PATCH", "/blobs/") or target.count("PATCH", "/blobs/") == 1


async def test_a_source_that_lost_its_layers_costs_nothing_but_time(
    parts: Parts, target: UploadingRegistry
) -> None:
    reference = target.add(BUILT, "base/image")
    await parts.images.pull(reference)
    parts.images.tag(reference, f"{target.host}/copy:1")
    await push(parts, f"{target.host}/copy:1")
    assert target.has("copy") == set(BUILT.blobs)
    assert not target.uploads


async def test_all_tags_of_a_repository(
    parts: Parts, bad_registry: MisbehavingRegistry, target: UploadingRegistry
) -> None:
    await have(parts, bad_registry, f"{target.host}/app:1")
    await have(parts, bad_registry, f"{target.host}/app:2")
    await push(parts, f"{target.host}/app")
    assert set(target.tagged) == {"app:1", "app:2"}


async def test_a_broken_connection_is_taken_up_where_it_broke(
    parts: Parts, bad_registry: MisbehavingRegistry, target: UploadingRegistry
) -> None:
    await have(parts, bad_registry, f"{target.host}/app:1")
    breaks = iter([1 << 20, 3 << 20])

    async def cut(request: web.Request) -> None:
        data = target.uploads[request.match_info["number"]]
        most = next(breaks, None) if int(request.headers["Content-Length"]) > 1 << 20 else None
        if most is None:
            return
        async for piece in request.content.iter_any():
            data += piece
            if len(data) >= most:
                break
        assert request.transport is not None
        request.transport.close()

    target.faults["piece"] = cut
    await push(parts, f"{target.host}/app:1")
    assert target.has("app") == set(BUILT.blobs)
    starts = [
        int(heard.headers["Content-Range"].partition("-")[0])
        for heard in target.heard
        if heard.method == "PATCH"
    ]
    assert max(starts) >= 3 << 20
    assert target.count("GET", "/uploads/") >= 2
    assert target.count("POST", "/uploads/") == 3


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("step", ["begin", "piece", "end", "manifest", "head", "status"])
async def test_a_registry_that_is_tired_is_asked_again(
    parts: Parts,
    bad_registry: MisbehavingRegistry,
    target: UploadingRegistry,
    step: str,
    status: int,
) -> None:
    await have(parts, bad_registry, f"{target.host}/app:1", build(BASE))
    failures = iter(range(2))

    async def tired(request: web.Request) -> web.Response | None:
        if next(failures, None) is None:
            return None
        await request.read()
        return web.Response(status=status)

    target.faults[step] = tired
    if step == "status":
        target.faults["piece"] = tired
    await push(parts, f"{target.host}/app:1")
    assert set(target.tagged) == {"app:1"}


async def answer(request: web.Request, status: int, **headers: str) -> web.Response:
    await request.read()
    return web.Response(status=status, headers=headers)


LIES = {
    "no location": ("begin", lambda r: answer(r, 202), "names no place to upload to"),
    "foreign scheme": ("begin", lambda r: answer(r, 202, Location="file:///x"), "leads to"),
    "no number": ("begin", lambda r: answer(r, 202, Location="http://[x"), "leads to"),
    "teapot": ("begin", lambda r: answer(r, 418), "answers 418"),
    "stored before": ("begin", lambda r: answer(r, 201), "answers 201"),
    "no blob kept": (
        "end",
        lambda r: answer(r, 201),
        "sent [0-9]+ bytes, the registry has no such blob",
    ),
    "other digest": (
        "end",
        lambda r: answer(r, 201, **{"Docker-Content-Digest": "sha256:" + "0" * 64}),
        "digest mismatch",
    ),
    "more than was sent": (
        "piece",
        lambda r: answer(r, 202, Range="0-99999999", Location="/v2/app/blobs/uploads/1"),
        "of which",
    ),
    "nothing taken": ("piece", lambda r: answer(r, 202, Range="0-0"), "takes nothing"),
    "forgets": ("piece", lambda r: answer(r, 404), "has forgotten an upload"),
    "too large": ("piece", lambda r: answer(r, 413), "413"),
    "not there": ("end", lambda r: answer(r, 400), "answers 400"),
    "other manifest": (
        "manifest",
        lambda r: answer(r, 201, **{"Docker-Content-Digest": "sha256:" + "0" * 64}),
        "the registry has sha256:0000",
    ),
    "manifest lost": ("manifest", lambda r: answer(r, 404), "answers 404"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
async def test_a_registry_that_lies_is_told_of_in_one_line(
    parts: Parts, bad_registry: MisbehavingRegistry, target: UploadingRegistry, lie: str
) -> None:
    await have(parts, bad_registry, f"{target.host}/app:1")
    step, fault, match = LIES[lie]
    target.faults[step] = fault
    with pytest.raises(StackrError, match=match) as raised:
        await push(parts, f"{target.host}/app:1")
    assert "\n" not in raised.value.message
    assert not target.tagged
    assert not any(
        target.host in name for name in parts.images.get(f"{target.host}/app:1").repo_digests
    )
    target.faults.clear()
    await push(parts, f"{target.host}/app:1")
    assert set(target.tagged) == {"app:1"}


@pytest.mark.parametrize("step", ["begin", "piece", "end", "manifest", "head"])
async def test_a_registry_that_stalls_is_given_up(
    parts: Parts,
    bad_registry: MisbehavingRegistry,
    target: UploadingRegistry,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    monkeypatch.setattr(transport, "SILENCE_S", 0.1)
    await have(parts, bad_registry, f"{target.host}/app:1")

    async def stall(request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    target.faults[step] = stall
    with pytest.raises(Unavailable, match="did not answer in time"):
        await push(parts, f"{target.host}/app:1")
    assert not target.tagged


async def test_a_push_that_is_cancelled_leaves_no_upload(
    parts: Parts, bad_registry: MisbehavingRegistry, target: UploadingRegistry
) -> None:
    await have(parts, bad_registry, f"{target.host}/app:1")
    reached = asyncio.Event()

    async def wait(request: web.Request) -> None:
        reached.set()
        await asyncio.sleep(3600)

    target.faults["piece"] = wait
    pushing = asyncio.create_task(push(parts, f"{target.host}/app:1"))
    await reached.wait()
    pushing.cancel()
    await asyncio.gather(pushing, return_exceptions=True)
    assert not target.uploads
    assert not target.tagged


async def test_tokens_are_asked_for_the_right_to_push_and_renewed(
    parts: Parts, bad_registry: MisbehavingRegistry, target: UploadingRegistry
) -> None:
    reference = target.add(BUILT, "base/image")
    target.has("base/image").update(BUILT.blobs)
    await have(parts, bad_registry, f"{target.host}/app:1")
    await parts.images.pull(reference)
    asked: list[list[str]] = []

    def gate(request: web.Request) -> web.Response | None:
        scopes = request.headers.get("Authorization", "").removeprefix("Bearer ").split("|")
        needed = "repository:app:pull" if request.method == "HEAD" else "repository:app:pull,push"
        if needed in scopes or f"{needed},push" in scopes:
            return None
        realm = f'Bearer realm="http://{tokens.host}/token",service="x",scope="{needed}"'
        return web.Response(status=401, headers={"WWW-Authenticate": realm})

    def give(request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        if base64.b64decode(given.removeprefix("Basic ")) != b"user:secret":
            return web.Response(status=401)
        asked.append(request.query.getall("scope"))
        return web.json_response({"token": "|".join(asked[-1]), "expires_in": 60})

    target.gate = gate
    async with MisbehavingRegistry(gate=give) as tokens:
        with pytest.raises(Unauthorized, match="incorrect username or password"):
            await push(parts, f"{target.host}/app:1", auth=RegistryAuth("user", "wrong"))
        assert not target.tagged
        await push(parts, f"{target.host}/app:1", auth=RegistryAuth("user", "secret"))
    assert set(target.tagged) == {"app:1"}
    assert ["repository:app:pull,push"] in asked
    assert ["repository:app:pull,push", "repository:base/image:pull"] in asked


async def test_who_may_not_push(
    parts: Parts, bad_registry: MisbehavingRegistry, target: UploadingRegistry
) -> None:
    await have(parts, bad_registry, f"{target.host}/app:1")
    error = {"code": "DENIED", "message": "requested access to the resource is denied"}
    target.faults["begin"] = lambda _: asyncio.sleep(
        0, web.json_response({"errors": [error]}, status=403)
    )
    with pytest.raises(PermissionDenied, match=r"^denied: requested access to the resource"):
        await push(parts, f"{target.host}/app:1")


@pytest.mark.parametrize(
    ("name", "tag", "kind", "match"),
    [
        ("nothing", "", NotFound, "^An image does not exist locally with the tag: nothing$"),
        ("{host}/app", "2", NotFound, "^tag does not exist: {host}/app:2$"),
        ("{host}/app@sha256:" + "0" * 64, "", InvalidArgument, "cannot push a digest reference"),
        ("{host}/App", "1", InvalidArgument, "must be lowercase"),
        ("{host}/app", "a b", InvalidArgument, "invalid reference format"),
    ],
)
async def test_names_that_cannot_be_pushed(
    parts: Parts,
    bad_registry: MisbehavingRegistry,
    target: UploadingRegistry,
    name: str,
    tag: str,
    kind: type[StackrError],
    match: str,
) -> None:
    await have(parts, bad_registry, f"{target.host}/app:1")
    with pytest.raises(kind, match=match.replace("{host}", target.host)):
        await push(parts, name.replace("{host}", target.host), tag=tag)
    assert not target.heard


async def test_a_manifest_that_did_not_come_whole_is_made_anew(
    parts: Parts, bad_registry: MisbehavingRegistry, target: UploadingRegistry
) -> None:
    """The same image, of other blobs: the manifest is of those that are here."""
    await have(parts, bad_registry, f"{target.host}/app:1")
    image = parts.images.get(f"{target.host}/app:1")
    stored = next(iter(parts.state.all("image").values()))
    assert stored["layer_blobs"]
    await push(parts, f"{target.host}/app:1")
    manifest = json.loads(target.tagged["app:1"])
    assert manifest["config"]["digest"] == image.id
    assert [digest_of(target.blobs[each["digest"]]) for each in manifest["layers"]] == BUILT.layers


async def test_time_goes_by_between_pieces_only(
    parts: Parts,
    bad_registry: MisbehavingRegistry,
    target: UploadingRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slow registry is no stalled one: the limit is of silence, not of the whole."""
    monkeypatch.setattr(transport, "SILENCE_S", 1.0)
    await have(parts, bad_registry, f"{target.host}/app:1")
    begun = time.monotonic()

    async def slow(request: web.Request) -> None:
        if int(request.headers["Content-Length"]) > 1 << 20:
            data = target.uploads[request.match_info["number"]]
            async for piece in request.content.iter_chunked(256 << 10):
                data += piece
                await asyncio.sleep(0.08)

    target.faults["piece"] = slow
    await push(parts, f"{target.host}/app:1")
    assert time.monotonic() - begun > 1.0
    assert target.count("PATCH", "/blobs/") == 3


async def test_a_registry_that_knows_no_manifests_of_oci(
    parts: Parts, bad_registry: MisbehavingRegistry, target: UploadingRegistry
) -> None:
    """It is given Docker's, and the image is known by the digest of that."""

    async def old(request: web.Request) -> web.Response | None:
        if "oci" not in request.headers["Content-Type"]:
            return None
        await request.read()
        errors = [{"code": "MANIFEST_INVALID", "message": "manifest invalid"}]
        return web.json_response({"errors": errors}, status=400)

    target.faults["manifest"] = old
    await have(parts, bad_registry, f"{target.host}/app:1")
    lines = await push(parts, f"{target.host}/app:1")
    raw = target.tagged["app:1"]
    manifest = json.loads(raw)
    kinds = {each["mediaType"] for each in (manifest, manifest["config"], *manifest["layers"])}
    assert all(each.startswith("application/vnd.docker.") for each in kinds)
    assert [each["digest"] for each in manifest["layers"]] == [
        each["digest"] for each in json.loads(BUILT.manifest)["layers"]
    ]
    assert lines[-1].pushed == (digest_of(raw), len(raw))
    digests = parts.images.get(f"{target.host}/app:1").repo_digests
    assert f"{target.host}/app@{digest_of(raw)}" in digests


async def test_what_docker_has_no_type_for_is_refused_as_it_was(
    parts: Parts, bad_registry: MisbehavingRegistry, target: UploadingRegistry
) -> None:
    async def none(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=415)

    target.faults["manifest"] = none
    await have(parts, bad_registry, f"{target.host}/app:1")
    with pytest.raises(InvalidArgument, match="answers 415"):
        await push(parts, f"{target.host}/app:1")
    assert not target.tagged
