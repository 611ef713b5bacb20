"""What attests to an image: kept by pull and load, told, and passed on by push and save."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from image_parts import Parts, start_parts
from misbehaving_registry import MisbehavingRegistry
from oci_builder import CONFIG, INDEX, MANIFEST, BuiltImage, archive, build, digest_of, member
from uploading_registry import UploadingRegistry

from stackr.errors import InvalidArgument, NotFound
from stackr.runtime.engine.image.platform import parse_platform

pytestmark = pytest.mark.root

PREDICATE = "https://slsa.dev/provenance/v1"
STATEMENT = json.dumps({"predicateType": PREDICATE, "predicate": {"by": "hand"}}).encode()
IMAGE = build(archive(member("etc/"), member("etc/hello", b"hello")), Cmd=["sh"])


def attested(*others: dict[str, Any], statement: bytes = STATEMENT) -> BuiltImage:
    """An index as BuildKit writes it; others: further entries."""
    top = BuiltImage(blobs=dict(IMAGE.blobs), media_type=INDEX)
    layer = {
        "mediaType": "application/vnd.in-toto+json",
        **top.put(statement),
        "annotations": {"in-toto.io/predicate-type": PREDICATE},
    }
    config = {"mediaType": CONFIG, **top.put(b'{"rootfs": {"type": "layers", "diff_ids": []}}')}
    attestation = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    notes = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": IMAGE.digest,
    }
    entries = [
        {
            "mediaType": MANIFEST,
            **top.put(IMAGE.manifest),
            "platform": {"os": "linux", "architecture": "amd64"},
        },
        {
            "mediaType": MANIFEST,
            **top.put(json.dumps(attestation).encode()),
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": notes,
        },
        *others,
    ]
    body = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    top.manifest = json.dumps(body).encode()
    return top


def layout(image: BuiltImage) -> bytes:
    entry = {
        "mediaType": image.media_type,
        "digest": image.digest,
        "size": len(image.manifest),
        "annotations": {"org.opencontainers.image.ref.name": "app:1"},
    }
    blobs = {**image.blobs, image.digest: image.manifest}
    return archive(
        member("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
        member("index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()),
        *(member(f"blobs/sha256/{digest[7:]}", data) for digest, data in blobs.items()),
    )


async def load(parts: Parts, data: bytes) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield data

    await parts.images.archives.load(pieces(), platform=None, progress=lambda _: None)


async def saved(parts: Parts, name: str) -> bytes:
    async with parts.images.archives.saved([name], None) as found:
        return b"".join([piece async for piece in found])


def told(parts: Parts, name: str, platform: str = "") -> list[tuple[str, bytes]]:
    wanted = parse_platform(platform) if platform else None
    found = parts.images.attestations(name, wanted)
    return [(each.predicate_type, parts.images.statement(each)) for each in found]


async def test_they_come_with_a_pull_and_go_with_a_push(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    image = attested()
    name = bad_registry.add(image)
    await parts.images.pull(name)
    assert told(parts, name) == told(parts, name, "linux/amd64") == [(PREDICATE, STATEMENT)]
    with pytest.raises(NotFound):
        told(parts, name, "linux/arm64")
    async with UploadingRegistry() as target:
        parts.images.tag(name, f"{target.host}/team/app:1")
        await parts.images.push(f"{target.host}/team/app", tag="1")
        assert target.tagged["team/app:1"] == image.manifest
        assert digest_of(STATEMENT) in target.has("team/app")


async def test_manifests_are_told_with_what_of_them_is_here(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    absent = {"mediaType": MANIFEST, "digest": digest_of(b"absent"), "size": 6}
    absent["platform"] = {"os": "linux", "architecture": "s390x"}
    name = bad_registry.add(attested(absent))
    await parts.images.pull(name)
    own, attesting, other = parts.images.manifests(name)
    assert [each.kind for each in (own, attesting, other)] == ["image", "attestation", "image"]
    assert [each.available for each in (own, attesting, other)] == [True, True, False]
    assert (own.is_own, other.is_own) == (True, False)
    assert own.content_bytes == len(IMAGE.manifest) + sum(map(len, IMAGE.blobs.values()))
    assert (attesting.attests_to, other.content_bytes) == (IMAGE.digest, 0)
    assert own.platform == {"os": "linux", "architecture": "amd64"}
    assert other.descriptor == absent
    plain = build(archive(member("other")), Cmd=["sh"])
    name = bad_registry.add(plain, "plain")
    await parts.images.pull(name)
    (own,) = parts.images.manifests(name)
    assert (own.descriptor["digest"], own.is_own, own.available) == (plain.digest, True, True)
    assert own.platform["architecture"] == "amd64"


async def test_they_are_loaded_and_saved(parts: Parts, tmp_path: Path) -> None:
    image = attested()
    await load(parts, layout(image))
    assert told(parts, "app:1") == [(PREDICATE, STATEMENT)]
    whole = await saved(parts, "app:1")
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        assert f"blobs/sha256/{image.digest[7:]}" in tar.getnames()
    (tmp_path / "there").mkdir()
    there = await start_parts(tmp_path / "there")
    try:
        await load(there, whole)
        assert told(there, "app:1") == [(PREDICATE, STATEMENT)]
        assert await saved(there, "app:1") == whole
        await there.images.remove("app:1", in_use=lambda _: [])
        assert not there.images.content.has(digest_of(STATEMENT))
    finally:
        await there.close()


async def test_an_index_of_which_more_is_elsewhere_stays_there(
    parts: Parts, bad_registry: MisbehavingRegistry
) -> None:
    other = build(archive(member("x", b"")), architecture="arm64")
    platform = {"os": "linux", "architecture": "arm64"}
    elsewhere = {"mediaType": MANIFEST, "digest": other.digest, "size": len(other.manifest)}
    name = bad_registry.add(attested({**elsewhere, "platform": platform}))
    await parts.images.pull(name)
    assert told(parts, name) == [(PREDICATE, STATEMENT)]
    assert told(parts, name, "linux/arm64") == []
    async with UploadingRegistry() as target:
        parts.images.tag(name, f"{target.host}/team/app:1")
        await parts.images.push(f"{target.host}/team/app", tag="1")
        assert target.tagged["team/app:1"] == IMAGE.manifest


async def test_images_without_any(parts: Parts, bad_registry: MisbehavingRegistry) -> None:
    name = bad_registry.add(IMAGE)
    await parts.images.pull(name)
    assert told(parts, name) == []
    image = attested()
    del image.blobs[digest_of(STATEMENT)]
    with pytest.raises(InvalidArgument):
        await load(parts, layout(image))
