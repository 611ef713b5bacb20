"""Pulls from Debian's docker-registry, of images that skopeo pushed there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from image_parts import Parts
from loopback_registry import push, serve
from oci_builder import archive, build, index, member

from stackr.errors import NotFound, Unauthorized
from stackr.registry.auth import RegistryAuth

pytestmark = pytest.mark.root

BASE = archive(member("etc/"), member("etc/passwd", b"root:x:0:0::/:/bin/sh\n"))
SECRET_FOR_USER = "user:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"  # "secret"


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("open")) as address:
        yield address


@pytest.fixture(scope="module")
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("locked"), htpasswd=SECRET_FOR_USER) as address:
        yield address


async def test_an_oci_image(parts: Parts, open_registry: str, tmp_path: Path) -> None:
    built = build(BASE, archive(member("app", b"x" * 100_000)), Cmd=["/app"])
    reference = f"{open_registry}/team/app:1"
    push(built, reference, tmp_path / "oci")
    pulled = await parts.images.pull(reference)
    assert (pulled.id, list(pulled.diff_ids)) == (built.image_id, built.diff_ids)
    assert (await parts.images.pull(reference)).id == pulled.id
    by_digest = await parts.images.pull(pulled.repo_digests[0])
    assert by_digest.repo_digests == pulled.repo_digests


async def test_a_docker_schema_2_image(parts: Parts, open_registry: str, tmp_path: Path) -> None:
    built = build(BASE)
    reference = f"{open_registry}/schema2:1"
    push(built, reference, tmp_path / "oci", "--format=v2s2")
    pulled = await parts.images.pull(reference)
    assert pulled.id == built.image_id
    assert pulled.repo_digests[0] != f"{open_registry}/schema2@{built.digest}"


async def test_a_multi_platform_index(parts: Parts, open_registry: str, tmp_path: Path) -> None:
    amd, arm = build(BASE), build(BASE, architecture="arm64")
    top = index({"linux/amd64": amd, "linux/arm64/v8": arm})
    reference = f"{open_registry}/multi:1"
    push(top, reference, tmp_path / "oci", "--all")
    assert (await parts.images.pull(reference, platform="linux/amd64")).id == amd.image_id
    assert (await parts.images.pull(reference, platform="linux/arm64/v8")).id == arm.image_id
    remote = await parts.images.resolve(reference)
    assert remote.digest == top.digest
    assert [str(platform) for platform in remote.platforms] == ["linux/amd64", "linux/arm64"]


async def test_what_is_not_there(parts: Parts, open_registry: str) -> None:
    name = f"{open_registry}/nothing:1"
    with pytest.raises(NotFound, match=f"^manifest for {name} not found: manifest unknown"):
        await parts.images.pull(name)


async def test_passwords(parts: Parts, locked_registry: str, tmp_path: Path) -> None:
    built = build(BASE)
    reference = f"{locked_registry}/private/app:1"
    push(built, reference, tmp_path / "oci", "--dest-creds=user:secret")
    with pytest.raises(Unauthorized, match=r"pull access denied .*: no basic auth"):
        await parts.images.pull(reference)
    with pytest.raises(Unauthorized, match="incorrect username or password"):
        await parts.images.pull(reference, auth=RegistryAuth("user", "wrong"))
    pulled = await parts.images.pull(reference, auth=RegistryAuth("user", "secret"))
    assert pulled.id == built.image_id
