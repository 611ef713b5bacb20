"""Pulls from a registry that misbehaves: what is retried, what is refused, what is told."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from image_parts import Parts
from misbehaving_registry import MisbehavingRegistry, cut
from oci_builder import BuiltImage, archive, build, digest_of, index, member

from stackr.errors import (
    Conflict,
    InvalidArgument,
    NotFound,
    NotSupported,
    PermissionDenied,
    Unauthorized,
    Unavailable,
)
from stackr.registry import retry, transport
from stackr.registry.auth import RegistryAuth
from stackr.registry.digest import short_id
from stackr.runtime.engine.image.model import ImageUse
from stackr.runtime.engine.image.progress import ImageProgress
from stackr.runtime.engine.options import options_of

pytestmark = pytest.mark.root

NOISE = os.urandom(3 << 20)


def image(**config: Any) -> BuiltImage:
    return build(
        archive(member("etc/"), member("etc/name", b"base")),
        archive(member("big", NOISE)),
        **config,
    )


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST_PAUSE_S", 0.001)


async def test_text_that_is_no_unicode_is_replaced(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    reference = bad_registry.add(image(Labels={"a": "x\ud800"}, Env=["B=\udfff"]))
    pulled = await parts.images.pull(reference)
    assert (pulled.config["Labels"], pulled.config["Env"]) == ({"a": "x\ufffd"}, ["B=\ufffd"])


async def test_an_image_arrives_whole(parts: Parts, bad_registry: MisbehavingRegistry) -> None:
    built = image(Cmd=["/bin/sh"], Labels={"a": "b"})
    reference = bad_registry.add(built, "team/app", "v1")
    lines: list[ImageProgress] = []
    pulled = await parts.images.pull(reference, progress=lines.append)
    assert pulled.id == built.image_id
    assert pulled.repo_tags == (reference,)
    assert pulled.repo_digests == (f"{bad_registry.host}/team/app@{built.digest}",)
    assert pulled.config["Cmd"] == ["/bin/sh"]
    assert list(pulled.diff_ids) == built.diff_ids
    assert pulled.size_bytes == len(NOISE) + 4
    view = parts.snapshots.image_view(pulled.diff_ids)
    assert view.read("/etc/name") == b"base"
    assert parts.blobs() == {*built.blobs, built.digest}
    statuses = [(line.id, line.status) for line in lines]
    big = short_id(built.layers[1])
    assert statuses[0] == ("v1", "Pulling from team/app")
    assert statuses.index((big, "Pulling fs layer")) < statuses.index((big, "Downloading"))
    assert statuses.index((big, "Downloading")) < statuses.index((big, "Download complete"))
    assert statuses.index((big, "Extracting")) < statuses.index((big, "Pull complete"))
    assert [line.status for line in lines[-2:]] == [
        f"Digest: {built.digest}",
        f"Status: Downloaded newer image for {reference}",
    ]
    assert [(e.type, e.action, e.id) for e in parts.events.kept()] == [("image", "pull", reference)]


async def test_a_current_image_costs_one_request(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    reference = bad_registry.add(image())
    await parts.images.pull(reference)
    bad_registry.heard.clear()
    lines: list[ImageProgress] = []
    await parts.images.pull(reference, progress=lines.append)
    assert [heard.method for heard in bad_registry.heard] == ["HEAD"]
    assert lines[-1].status == f"Status: Image is up to date for {reference}"


async def test_a_moved_tag_leaves_the_old_image_untagged(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    old, new = image(Env=["V=1"]), image(Env=["V=2"])
    reference = bad_registry.add(old)
    await parts.images.pull(reference)
    bad_registry.add(new)
    lines: list[ImageProgress] = []
    await parts.images.pull(reference, progress=lines.append)
    assert [line.status for line in lines].count("Already exists") == 2
    assert parts.images.get(reference).id == new.image_id
    assert parts.images.get(old.image_id).repo_tags == ()
    removed, freed = await parts.images.prune(in_use=lambda _: [])
    assert {"Deleted": old.image_id} in removed
    assert freed == 0
    assert parts.blobs() == {*new.blobs, new.digest}


async def test_the_platform_is_chosen(parts: Parts, bad_registry: MisbehavingRegistry) -> None:
    amd, arm = image(Env=["A=amd"]), build(archive(member("x")), architecture="arm64")
    top = index({"linux/amd64": amd, "linux/arm64/v8": arm})
    reference = bad_registry.add(top)
    pulled = await parts.images.pull(reference, platform="linux/amd64")
    assert pulled.id == amd.image_id
    assert pulled.repo_digests == (f"{bad_registry.host}/app@{top.digest}",)
    other = await parts.images.pull(reference, platform="linux/arm64")
    assert other.architecture == "arm64"
    with pytest.raises(NotFound, match=r"linux/s390x .* available: linux/amd64, linux/arm64"):
        await parts.images.pull(reference, platform="linux/s390x")
    remote = await parts.images.resolve(reference)
    assert (remote.digest, len(remote.platforms)) == (top.digest, 2)


async def test_a_single_image_of_another_platform_is_refused_by_name(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    reference = bad_registry.add(image())
    with pytest.raises(NotFound, match=r"its platform \(linux/amd64\) does not match the spec"):
        await parts.images.pull(reference, platform="linux/arm64")


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
async def test_a_download_that_breaks_off_is_taken_up_again(
    parts: Parts, bad_registry: MisbehavingRegistry, ranges: bool
) -> None:
    built = image()
    reference = bad_registry.add(built)
    bad_registry.ranges = ranges
    cuts = 0

    async def on_blob(request: web.Request, data: bytes) -> web.StreamResponse | None:
        nonlocal cuts
        if len(data) < 1 << 20 or cuts == 2:
            return None
        cuts += 1
        at = cuts * (1 << 20) + 1000
        return await cut(request, data, at if ranges or cuts == 1 else 5000)

    bad_registry.on_blob = on_blob
    pulled = await parts.images.pull(reference)
    assert parts.snapshots.image_view(pulled.diff_ids).read("/big") == NOISE
    asked = [h.headers.get("Range") for h in bad_registry.heard if built.layers[1] in h.path]
    assert asked[0] is None
    assert len(asked) == 3
    assert all(each is not None for each in asked[1:])


async def test_a_registry_that_never_delivers_is_given_up(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    built = image()
    reference = bad_registry.add(built)

    async def on_blob(request: web.Request, data: bytes) -> web.StreamResponse | None:
        return await cut(request, data, 10_000) if len(data) > 1 << 20 else None

    bad_registry.on_blob = on_blob
    parts.config.live.options = options_of({"max-download-attempts": 3}, "test")
    with pytest.raises(Unavailable, match="the connection broke off"):
        await parts.images.pull(reference)
    assert bad_registry.count("GET", built.layers[1]) == 3
    assert parts.images.list() == []
    assert parts.partials() == {built.layers[1]: 10_000}
    bad_registry.on_blob = None
    bad_registry.heard.clear()
    await parts.images.pull(reference)
    (again,) = [heard for heard in bad_registry.heard if built.layers[1] in heard.path]
    assert again.headers["Range"] == "bytes=10000-"


async def test_wrong_bytes_are_named_and_not_kept(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    built = image()
    reference = bad_registry.add(built)
    blob = built.layers[1]
    wrong = bytes(reversed(built.blobs[blob]))
    bad_registry.blobs[blob] = wrong
    with pytest.raises(InvalidArgument) as raised:
        await parts.images.pull(reference)
    assert raised.value.message == (
        f"blob {blob}: digest mismatch: got {digest_of(wrong)} in {len(wrong)} bytes"
    )
    assert blob not in parts.blobs()
    assert blob not in parts.partials()
    bad_registry.blobs = dict(built.blobs)
    await parts.images.pull(reference)


async def test_a_damaged_partial_is_fetched_anew(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    built = image()
    reference = bad_registry.add(built)
    partial = parts.config.content_root / "ingest" / built.layers[1].replace(":", "-")
    partial.write_bytes(bytes(100_000))
    pulled = await parts.images.pull(reference)
    assert parts.snapshots.image_view(pulled.diff_ids).read("/big") == NOISE


@pytest.mark.parametrize("change", [b"more", b""], ids=["longer", "shorter"])
async def test_a_blob_of_another_length_is_refused(
    parts: Parts, bad_registry: MisbehavingRegistry, change: bytes
) -> None:
    built = image()
    reference = bad_registry.add(built)
    blob = built.layers[0]
    data = built.blobs[blob]
    bad_registry.blobs[blob] = data + change if change else data[:-1]
    with pytest.raises((InvalidArgument, Unavailable), match=f"{blob}|answers 416"):
        await parts.images.pull(reference)
    assert blob not in parts.blobs()


async def test_a_manifest_that_is_not_its_digest_is_refused(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    built, other = image(), image(Env=["OTHER=1"])
    bad_registry.add(built)
    bad_registry.manifests[f"app:{built.digest}"] = (other.media_type, other.manifest)
    with pytest.raises(InvalidArgument, match=f"want {built.digest}, got {other.digest}"):
        await parts.images.pull(f"{bad_registry.host}/app@{built.digest}")


async def test_a_huge_manifest_is_refused(parts: Parts, bad_registry: MisbehavingRegistry) -> None:
    reference = bad_registry.add(image())
    media_type = bad_registry.manifests["app:latest"][0]
    bad_registry.manifests["app:latest"] = (media_type, b" " * (5 << 20))
    with pytest.raises(InvalidArgument, match="larger than 4194304 bytes"):
        await parts.images.pull(reference)


async def test_a_diff_id_that_lies_is_refused(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    built = image()
    config = json.loads(built.blobs[built.image_id])
    config["rootfs"]["diff_ids"][0] = "sha256:" + "0" * 64
    manifest = json.loads(built.manifest)
    manifest["config"] |= built.put(json.dumps(config).encode())
    built.manifest = json.dumps(manifest).encode()
    with pytest.raises(InvalidArgument, match="diff ID mismatch"):
        await parts.images.pull(bad_registry.add(built))
    assert parts.images.list() == []


async def test_a_hostile_layer_fails_the_pull(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    reference = bad_registry.add(build(archive(member("../escape", b"x"))))
    with pytest.raises(InvalidArgument, match=r'"../escape": is outside of the root file system'):
        await parts.images.pull(reference)


async def test_what_is_missing_is_told_in_dockers_words(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    name = f"{bad_registry.host}/nothing:1"
    with pytest.raises(NotFound) as raised:
        await parts.images.pull(name)
    assert raised.value.message == (
        f"manifest for {name} not found: manifest unknown: manifest unknown"
    )
    built = image()
    reference = bad_registry.add(built)
    del bad_registry.blobs[built.layers[0]]
    with pytest.raises(NotFound, match=f"blob {built.layers[0]}: not found in"):
        await parts.images.pull(reference)


async def test_an_unreachable_registry(parts: Parts) -> None:
    with pytest.raises(
        Unavailable, match=r'registry "127.0.0.1:1": cannot be reached: Conn.* refused'
    ):
        await parts.images.pull("127.0.0.1:1/app")


async def test_an_impossible_address(parts: Parts) -> None:
    for domain in ("localhost:99999", f"{'a' * 64}.example", "xn--zzzzzz.example"):
        with pytest.raises(InvalidArgument, match=f'registry "{domain}": invalid address'):
            await parts.images.pull(f"{domain}/app")


@pytest.mark.parametrize("part", ["manifests", "blobs"])
async def test_a_registry_that_falls_silent(
    parts: Parts,
    bad_registry: MisbehavingRegistry,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
) -> None:
    monkeypatch.setattr(transport, "SILENCE_S", 0.05)
    reference = bad_registry.add(image())
    silence = asyncio.Event()

    async def on_request(request: web.Request) -> None:
        if part in request.path:
            await silence.wait()

    bad_registry.on_request = on_request
    with pytest.raises(Unavailable, match="did not answer in time"):
        await parts.images.pull(reference)
    silence.set()


@pytest.mark.parametrize(
    ("status", "code", "kind", "match"),
    [
        (403, "DENIED", PermissionDenied, "pull access denied for .*/app, repository does not"),
        (500, "UNKNOWN", Unavailable, "answers 500: unknown: broken"),
        (429, "TOOMANYREQUESTS", Unavailable, "answers 429: toomanyrequests: broken"),
        (400, "NAME_INVALID", InvalidArgument, "answers 400: name invalid: broken"),
        (400, "UNSUPPORTED", NotSupported, "answers 400"),
    ],
)
async def test_refusals(
    parts: Parts,
    bad_registry: MisbehavingRegistry,
    status: int,
    code: str,
    kind: type[Exception],
    match: str,
) -> None:
    reference = bad_registry.add(image())
    error = {"errors": [{"code": code, "message": "broken"}]}
    bad_registry.gate = lambda _: web.json_response(error, status=status)
    with pytest.raises(kind, match=match):
        await parts.images.pull(reference)


async def test_a_registry_that_is_busy_is_asked_again(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    """For a manifest, for its token and for a blob, as long as it says."""
    reference = bad_registry.add(image())
    refused: set[tuple[str, str]] = set()

    def gate(request: web.Request) -> web.Response | None:
        what = (request.method, request.path)
        if what not in refused:
            refused.add(what)
            return web.Response(status=429, headers={"Retry-After": "1"})
        if request.path == "/token":
            return web.json_response({"token": "sesame"})
        if request.headers.get("Authorization") == "Bearer sesame":
            return None
        challenge = f'Bearer realm="http://{bad_registry.host}/token",service="s"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    bad_registry.gate = gate
    began = time.monotonic()
    await parts.images.pull(reference)
    assert time.monotonic() - began >= 3


async def test_a_registry_that_is_busy_for_too_long(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    reference = bad_registry.add(image())
    headers = {"Retry-After": "99999999"}
    bad_registry.gate = lambda _: web.Response(status=429, headers=headers)
    with pytest.raises(Unavailable, match="answers 429: it asks to be tried again in 99999999 s"):
        await parts.images.pull(reference)
    assert bad_registry.count("GET", "/manifests/") == 1


async def test_what_a_registry_says_does_not_steer_a_terminal(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    reference = bad_registry.add(image())
    error = {"errors": [{"code": "\x1b]0;", "message": "a\x1b[31m\x07b\x9bc"}]}
    bad_registry.gate = lambda _: web.json_response(error, status=400)
    with pytest.raises(InvalidArgument) as raised:
        await parts.images.pull(reference)
    assert raised.value.message.isprintable()


async def test_what_a_failed_pull_has_brought_is_given_back(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    """All of it, but what another image has; a pull that broke off leaves it for the next."""
    built = image()
    reference = bad_registry.add(built)
    await parts.images.pull(reference)
    blobs, layers = parts.blobs(), parts.layers()
    shared, hostile = archive(member("big", NOISE)), archive(member("../escape", b"x"))
    bad = build(shared, archive(member("more", NOISE)), hostile)
    with pytest.raises(InvalidArgument):
        await parts.images.pull(bad_registry.add(bad, "bad"))
    assert parts.blobs() == blobs
    assert parts.partials() == {}
    assert parts.layers() == layers


def basic_gate(user: str, password: str) -> Callable[[web.Request], web.Response | None]:
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def gate(request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == wanted:
            return None
        headers = {"WWW-Authenticate": 'Basic realm="Registry"'}
        return web.Response(status=401, headers=headers)

    return gate


async def test_basic_credentials(parts: Parts, bad_registry: MisbehavingRegistry) -> None:
    reference = bad_registry.add(image())
    bad_registry.gate = basic_gate("user", "right")
    with pytest.raises(Unauthorized, match=r"may require 'docker login': no basic auth cred"):
        await parts.images.pull(reference)
    with pytest.raises(Unauthorized, match="incorrect username or password") as raised:
        await parts.images.pull(reference, auth=RegistryAuth("user", "hunter2"))
    assert "hunter2" not in raised.value.message
    await parts.images.pull(reference, auth=RegistryAuth("user", "right"))


async def test_bearer_tokens_are_fetched_once_and_per_scope(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    reference = bad_registry.add(image(), "team/app")

    def gate(request: web.Request) -> web.Response | None:
        if request.path == "/token":
            assert request.query["scope"] == "repository:team/app:pull"
            assert request.query["service"] == "the registry"
            sent = request.headers.get("Authorization", "")
            if sent != "Basic " + base64.b64encode(b"user:right").decode():
                return web.Response(status=401)
            return web.json_response({"token": "the-token", "expires_in": 300})
        if request.headers.get("Authorization") == "Bearer the-token":
            return None
        challenge = (
            f'Bearer realm="http://{bad_registry.host}/token",service="the registry",'
            'scope="repository:team/app:pull"'
        )
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    bad_registry.gate = gate
    await parts.images.pull(reference, auth=RegistryAuth("user", "right"))
    assert bad_registry.count("GET", "/token") == 1
    with pytest.raises(Unauthorized, match="incorrect username or password"):
        await parts.images.pull(reference, auth=RegistryAuth("user", "wrong"))
    with pytest.raises(Unauthorized, match="authentication required"):
        await parts.images.pull(reference)


async def test_credentials_do_not_follow_a_redirect_to_another_host(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    built = image()
    reference = bad_registry.add(built)
    bad_registry.gate = basic_gate("user", "right")
    async with MisbehavingRegistry() as storage:
        storage.add(built)

        async def on_blob(request: web.Request, data: bytes) -> web.StreamResponse | None:
            return web.Response(
                status=307, headers={"Location": f"http://{storage.host}{request.path}?sig=a%2Fb"}
            )

        bad_registry.on_blob = on_blob
        await parts.images.pull(reference, auth=RegistryAuth("user", "right"))
        assert storage.count("GET", "/blobs/") == 3
        assert all("Authorization" not in heard.headers for heard in storage.heard)
        assert all(heard.path.endswith("?sig=a%2Fb") for heard in storage.heard)


_NO_HOSTS = (f"http://{'a' * 64}.example/t", "http://a..b/t", "http://xn--zzzzzz.example/t")


@pytest.mark.parametrize(
    "location", ["", "file:///etc/passwd", "ftp://127.0.0.1/x", "http://", *_NO_HOSTS]
)
async def test_odd_redirects_are_refused(
    parts: Parts, bad_registry: MisbehavingRegistry, location: str
) -> None:
    reference = bad_registry.add(image())
    headers = {"Location": location}
    bad_registry.gate = lambda _: web.Response(status=302, headers=headers)
    with pytest.raises((InvalidArgument, Unavailable), match="redirects"):
        await parts.images.pull(reference)


@pytest.mark.parametrize("realm", _NO_HOSTS)
async def test_odd_token_servers_are_refused(
    parts: Parts, bad_registry: MisbehavingRegistry, realm: str
) -> None:
    reference = bad_registry.add(image())
    headers = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
    bad_registry.gate = lambda _: web.Response(status=401, headers=headers)
    with pytest.raises(Unauthorized, match="names no token server"):
        await parts.images.pull(reference)


async def test_credentials_are_those_of_the_caller(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    """Whatever the registry writes into an address."""
    reference = bad_registry.add(image())
    at = f"http://somebody:else@{bad_registry.host}/token"
    headers = {"WWW-Authenticate": f'Bearer realm="{at}"'}
    bad_registry.gate = lambda _: web.Response(status=401, headers=headers)
    with pytest.raises(Unauthorized, match="incorrect username or password"):
        await parts.images.pull(reference, auth=RegistryAuth("user", "right"))
    asked = [heard for heard in bad_registry.heard if heard.path.startswith("/token")]
    assert {heard.headers["Authorization"] for heard in asked} == {
        RegistryAuth("user", "right").basic
    }


async def test_concurrent_pulls_share_the_layers(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    first, second = image(Env=["V=1"]), image(Env=["V=2"])
    names = [bad_registry.add(first, "one"), bad_registry.add(second, "two")] * 2
    pulled = await asyncio.gather(*(parts.images.pull(name) for name in names))
    assert {each.id for each in pulled} == {first.image_id, second.image_id}
    for layer in first.layers:
        assert bad_registry.count("GET", layer) == 1


async def test_a_cancelled_pull_leaves_the_others_alone(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    built = image()
    reference = bad_registry.add(built)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def on_blob(request: web.Request, data: bytes) -> web.StreamResponse | None:
        if len(data) > 1 << 20:
            reached.set()
            await go_on.wait()
        return None

    bad_registry.on_blob = on_blob
    joined = asyncio.Event()
    first = asyncio.ensure_future(parts.images.pull(reference))
    await reached.wait()

    def on_progress(line: ImageProgress) -> None:
        if line.status == "Pulling fs layer" and line.id == short_id(built.layers[1]):
            joined.set()

    second = asyncio.ensure_future(parts.images.pull(reference, progress=on_progress))
    await joined.wait()
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    go_on.set()
    assert (await second).id == built.image_id
    assert bad_registry.count("GET", built.layers[1]) == 1


async def test_a_cancelled_pull_stops_and_can_be_taken_up(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    built = image()
    reference = bad_registry.add(built)
    reached = asyncio.Event()

    async def on_blob(request: web.Request, data: bytes) -> web.StreamResponse | None:
        if len(data) < 1 << 20:
            return None
        response = web.StreamResponse()
        response.content_length = len(data)
        await response.prepare(request)
        await response.write(data[: 2 << 20])
        reached.set()
        await asyncio.sleep(30)
        return response

    bad_registry.on_blob = on_blob
    pull = asyncio.ensure_future(parts.images.pull(reference))
    await reached.wait()
    while not parts.partials().get(built.layers[1]):
        await asyncio.sleep(0.01)
    pull.cancel()
    await asyncio.wait([pull])
    assert pull.cancelled()
    bad_registry.on_blob = None
    bad_registry.heard.clear()
    await parts.images.pull(reference)
    (again,) = [heard for heard in bad_registry.heard if built.layers[1] in heard.path]
    assert again.headers["Range"].startswith("bytes=")


async def test_names_ids_and_tags(parts: Parts, bad_registry: MisbehavingRegistry) -> None:
    built = image()
    reference = bad_registry.add(built, "app", "v1")
    pulled = await parts.images.pull(reference)
    hexdigest = pulled.id.partition(":")[2]
    spellings = [
        reference,
        pulled.id,
        hexdigest,
        hexdigest[:12],
        f"sha256:{hexdigest[:7]}",
        pulled.repo_digests[0],
        f"{reference}@{built.digest}",
    ]
    assert {parts.images.get(name).id for name in spellings} == {pulled.id}
    parts.images.tag(reference, "mine")
    assert parts.images.get("mine:latest").repo_tags == (reference, "mine:latest")
    with pytest.raises(NotFound, match=r"^No such image: nothing:latest$"):
        parts.images.get("nothing")
    with pytest.raises(InvalidArgument, match="invalid reference format"):
        parts.images.get("a b")
    with pytest.raises(InvalidArgument, match="refusing to create a tag with a digest"):
        parts.images.tag("mine", f"x@{built.digest}")


async def test_removal_follows_dockers_rules(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    built = image()
    reference = bad_registry.add(built, "app", "v1")
    pulled = await parts.images.pull(reference)
    parts.images.tag(reference, "mine:1")
    assert await parts.images.remove("mine:1", in_use=lambda _: []) == [{"Untagged": "mine:1"}]
    use = ImageUse("c" * 64, running=True)
    with pytest.raises(Conflict, match="unable to remove repository reference"):
        await parts.images.remove(reference, in_use=lambda _: [use])
    with pytest.raises(Conflict, match="image is being used by running container"):
        await parts.images.remove(pulled.id, force=True, in_use=lambda _: [use])
    removed = await parts.images.remove(reference, in_use=lambda _: [])
    assert removed[:3] == [
        {"Untagged": reference},
        {"Untagged": pulled.repo_digests[0]},
        {"Deleted": pulled.id},
    ]
    assert {"Deleted": built.diff_ids[0]} in removed
    assert (parts.blobs(), parts.images.list()) == (set(), [])
    assert parts.state.all("layer") == {}


async def test_layers_of_a_container_outlive_their_image(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    pulled = await parts.images.pull(bad_registry.add(image()))
    parts.snapshots.prepare("c1", pulled.diff_ids)
    stopped = ImageUse("c1", running=False)
    await parts.images.remove(pulled.id, force=True, in_use=lambda _: [stopped])
    assert parts.snapshots.container_view("c1").read("/etc/name") == b"base"
    await parts.snapshots.remove("c1")
    await parts.images.prune(in_use=lambda _: [])
    assert parts.state.all("layer") == {}


async def test_history_is_newest_first(parts: Parts, bad_registry: MisbehavingRegistry) -> None:
    reference = bad_registry.add(image())
    pulled = await parts.images.pull(reference)
    steps = parts.images.history(reference)
    assert [(step.created_by, step.size_bytes) for step in steps] == [
        ("step 1", len(NOISE)),
        ("step 0", 4),
    ]
    assert (steps[0].id, steps[0].tags) == (pulled.id, (reference,))
    assert steps[1].id == "<missing>"
