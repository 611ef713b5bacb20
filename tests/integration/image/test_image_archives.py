"""Images as archives: what is saved is loaded as it was; what is hostile leaves nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from image_parts import Parts, start_parts
from oci_builder import BuiltImage, archive, build, digest_of, member
from small_disk import small_disk

from stackr.errors import Internal, NotFound, StackrError
from stackr.registry.reference import parse_reference
from stackr.runtime.engine.image.archives import Import
from stackr.runtime.engine.image.platform import parse_platform

pytestmark = pytest.mark.root

FILE = archive(member("etc/"), member("etc/hello", b"hello"))
IMAGE = build(FILE, archive(member("second", b"2")), Cmd=["sh"])
LINK = {"type": tarfile.SYMTYPE}
HARD = {"type": tarfile.LNKTYPE}
DEVICE = {"type": tarfile.CHRTYPE}


def oci(image: BuiltImage, name: str = "app:1", **changed: bytes) -> bytes:
    """An OCI layout; keywords put other bytes into the place of files (`index`, `layer`)."""
    entry = {
        "mediaType": image.media_type,
        "digest": image.digest,
        "size": len(image.manifest),
        "annotations": {"org.opencontainers.image.ref.name": name},
    }
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    blobs = {**image.blobs, image.digest: image.manifest}
    if "layer" in changed:
        blobs[image.layers[0]] = changed["layer"]
    return archive(
        member("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
        member("index.json", changed.get("index", index)),
        *(member(f"blobs/sha256/{digest[7:]}", data) for digest, data in blobs.items()),
    )


def docker(image: BuiltImage, *names: str, **changed: Any) -> bytes:
    """As `docker save` made it: layers uncompressed, one of them a link to where it is."""
    layers = [gzip.decompress(image.blobs[digest]) for digest in image.layers]
    entry = {"Config": "c.json", "RepoTags": [*names] or None, "Layers": ["0/l.tar", "1/l.tar"]}
    return archive(
        member("c.json", image.blobs[image.image_id]),
        member("data/0.tar", layers[0]),
        member("0/l.tar", type=tarfile.SYMTYPE, linkname=changed.get("link", "../data/0.tar")),
        member("1/l.tar", changed.get("layer", layers[1])),
        member("manifest.json", json.dumps([{**entry, **changed.get("entry", {})}]).encode()),
    )


async def pieces(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def load(parts: Parts, data: bytes, platform: str = "") -> list[str]:
    """The text that it tells."""
    told: list[str] = []
    await parts.images.archives.load(
        pieces(data),
        platform=parse_platform(platform) if platform else None,
        progress=lambda line: told.append(line.status) if line.is_stream else None,
    )
    return told


async def saved(parts: Parts, *names: str) -> bytes:
    async with parts.images.archives.saved(names, None) as found:
        return b"".join([piece async for piece in found])


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    "compress",
    [lambda data: data, gzip.compress, bz2.compress, lzma.compress, zstd],
    ids=["none", "gzip", "bzip2", "xz", "zstd"],
)
@pytest.mark.parametrize("layout", [oci, docker])
async def test_an_archive_is_loaded(
    parts: Parts,
    layout: Callable[[BuiltImage, str], bytes],
    compress: Callable[[bytes], bytes],
) -> None:
    assert await load(parts, compress(layout(IMAGE, "app:1"))) == ["Loaded image: app:1\n"]
    image = parts.images.get("app:1")
    assert (image.id, image.config) == (IMAGE.image_id, {"Cmd": ["sh"]})
    assert parts.snapshots.image_view(image.diff_ids).read("/etc/hello") == b"hello"


async def test_what_is_saved_is_loaded_as_it_was(parts: Parts, tmp_path: Path) -> None:
    await load(parts, oci(IMAGE, "app:1"))
    parts.images.tag("app:1", "app:2")
    parts.images.tag("app:1", "other:1")
    whole = await saved(parts, "app", "other:1")
    assert await saved(parts, IMAGE.image_id[7:19]) != whole
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        assert f"blobs/sha256/{IMAGE.digest[7:]}" in tar.getnames(), "the manifest that it came by"
    (tmp_path / "there").mkdir()
    there = await start_parts(tmp_path / "there")
    try:
        told = await load(there, whole)
        assert told == [f"Loaded image: {name}\n" for name in ("app:1", "app:2", "other:1")]
        assert there.images.get("app:2").id == IMAGE.image_id
        assert await saved(there, "app", "other:1") == whole
    finally:
        await there.close()


async def test_a_name_moves_to_what_is_loaded(parts: Parts) -> None:
    first = build(FILE, Cmd=["first"])
    await load(parts, oci(first, "app:1"))
    told = await load(parts, docker(IMAGE, "app:1"))
    assert told[0].startswith(
        "The image app:1 already exists, renaming the old one with ID sha256:"
    )
    assert parts.images.get("app:1").id == IMAGE.image_id
    assert parts.images.get(first.image_id).repo_tags == ()
    assert await load(parts, docker(IMAGE)) == [f"Loaded image ID: {IMAGE.image_id}\n"]


async def test_the_platform_is_chosen(parts: Parts) -> None:
    with pytest.raises(NotFound, match=r"its platform \(linux/amd64\) does not match"):
        await load(parts, docker(IMAGE, "app:1"), "linux/arm64")
    await load(parts, docker(IMAGE, "app:1"), "linux/amd64")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"junk", "unexpected end"),
        (b"", "has neither"),
        (archive(member("x", b"1")), "has neither"),
        (oci(IMAGE)[:-9000], "unexpected end"),
        (gzip.compress(oci(IMAGE))[:-500], "gzip"),
        (archive(member("../../etc/x", b"1")), "leads out of the archive"),
        (docker(IMAGE, link="../../../etc/passwd"), "leads out of the archive"),
        (docker(IMAGE, link="/etc/passwd"), "links to an absolute path"),
        (docker(IMAGE, link="../1/../0/l.tar"), "no such file"),
        (archive(member("dev", **DEVICE)), "is neither a file, nor a folder, nor a link"),
        (archive(member("manifest.json", linkname="../index", **HARD)), "leads out"),
        (oci(IMAGE, layer=b"other"), "digest mismatch"),
        (docker(IMAGE, layer=archive(member("other"))), "diff ID mismatch"),
        (docker(IMAGE, entry={"Layers": ["1/l.tar"]}), "layers length mismatch: expected 2, got 1"),
        (docker(IMAGE, entry={"Config": "nonesuch"}), "nonesuch: no such file"),
        (docker(IMAGE, entry={"Config": 5}), "manifest.json: Config: malformed"),
        (docker(IMAGE, entry={"RepoTags": ["UPPER"]}), "must be lowercase"),
        (docker(IMAGE, entry={"RepoTags": [f"a@sha256:{'0' * 64}"]}), "has a digest"),
        (oci(IMAGE, index=b"[" * 100_000), "is not JSON"),
        (oci(IMAGE, index=b'{"manifests": [{"digest": "sha256:.."}]}'), "invalid digest"),
        (oci(IMAGE, index=b'{"manifests": []}'), "names no image"),
    ],
)  # fmt: skip
async def test_nothing_is_left_of_what_is_refused(parts: Parts, data: bytes, match: str) -> None:
    kept = build(FILE, Cmd=["kept"])
    await load(parts, oci(kept, "app:1"))
    before = _state(parts)
    with pytest.raises(StackrError, match=match) as caught:
        await load(parts, data)
    assert caught.value.status < 500
    assert _state(parts) == before
    assert parts.images.get("app:1").id == kept.image_id


def _state(parts: Parts) -> list[Any]:
    root = parts.config.content_root
    images = [(image.id, image.repo_tags) for image in parts.images.list()]
    layers = sorted(os.listdir(parts.config.snapshots_root / "l"))
    return [images, layers, sorted(str(path) for path in root.rglob("*"))]


async def test_a_killed_load_is_swept_away(parts: Parts) -> None:
    left = parts.config.content_root / "ingest" / "archive-left"
    left.mkdir()
    (left / "0").write_bytes(b"in part")
    parts.images.content.open()
    assert not left.exists()


async def test_a_full_disk_refuses_a_load(tmp_path: Path) -> None:
    noise = build(archive(member("big", os.urandom(3 << 20))), FILE)
    with small_disk(tmp_path, "5m"):
        parts = await start_parts(tmp_path)
        try:
            before = _state(parts)
            with pytest.raises(Internal, match="No space left"):
                await load(parts, docker(noise, "app:1"))
            assert _state(parts) == before
        finally:
            await parts.close()


async def test_a_file_system_is_imported(parts: Parts) -> None:
    asked = Import(
        created="2026-01-02T03:04:05Z",
        config={"Cmd": ["sh"], "Env": []},
        name=parse_reference("imported:1"),
        message="by hand",
        platform=parse_platform("linux/arm64"),
    )
    stored = await parts.images.archives.import_root(pieces(gzip.compress(FILE)), asked)
    image = parts.images.get("imported:1")
    assert (image.id, image.config, image.comment) == (stored.id, {"Cmd": ["sh"]}, "by hand")
    assert (image.architecture, image.diff_ids) == ("arm64", (digest_of(FILE),))
    assert parts.images.history("imported:1")[0].comment == "by hand"
    again = await saved(parts, "imported:1")
    assert await load(parts, again) == ["Loaded image: imported:1\n"]


async def test_nothing_is_left_of_an_import_that_fails(parts: Parts) -> None:
    before = _state(parts)
    for data in (b"junk", FILE[:-9500], gzip.compress(FILE)[:-20]):
        with pytest.raises(StackrError, match=r"^archive: "):
            await parts.images.archives.import_root(pieces(data), Import("2026-01-02T03:04:05Z"))
        assert _state(parts) == before
