"""Build images for tests, with Python's own tar writer: archives, layers, OCI layouts."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def member(name: str, content: bytes = b"", **attributes: Any) -> tuple[tarfile.TarInfo, bytes]:
    """One archive member; a name that ends with `/` is a directory."""
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    if name.endswith("/"):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    for key, value in attributes.items():
        setattr(info, key, value)
    info.size = len(content)
    return info, content


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """An uncompressed archive whose names are exactly the given ones."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@dataclass
class BuiltImage:
    """An image in memory: blobs by digest, and the manifest on top of them."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes = b""
    media_type: str = MANIFEST

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    @property
    def layers(self) -> list[str]:
        """The digests of the layers' blobs, base layer first."""
        return [layer["digest"] for layer in json.loads(self.manifest)["layers"]]

    @property
    def image_id(self) -> str:
        digest: str = json.loads(self.manifest)["config"]["digest"]
        return digest

    @property
    def diff_ids(self) -> list[str]:
        diff_ids: list[str] = json.loads(self.blobs[self.image_id])["rootfs"]["diff_ids"]
        return diff_ids

    def put(self, data: bytes) -> dict[str, Any]:
        self.blobs[digest_of(data)] = data
        return {"digest": digest_of(data), "size": len(data)}


def build(*layers: bytes, architecture: str = "amd64", **config: Any) -> BuiltImage:
    """An image of these uncompressed layer archives; keywords go to its `config`."""
    image = BuiltImage()
    descriptors = [
        {"mediaType": LAYER, **image.put(gzip.compress(raw, 1, mtime=0))} for raw in layers
    ]
    body = {
        "created": "2024-05-06T07:08:09Z",
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [digest_of(raw) for raw in layers]},
        "history": [{"created_by": f"step {number}"} for number, _ in enumerate(layers)],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, **image.put(json.dumps(body).encode())},
        "layers": descriptors,
    }
    image.manifest = json.dumps(manifest).encode()
    return image


def index(images: dict[str, BuiltImage]) -> BuiltImage:
    """A multi-platform index, by `os/architecture[/variant]`."""
    entries = []
    top = BuiltImage(media_type=INDEX)
    for platform, image in images.items():
        names = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
        top.blobs |= image.blobs
        entries.append({"mediaType": MANIFEST, **top.put(image.manifest), "platform": names})
    body = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    top.manifest = json.dumps(body).encode()
    return top


def write_layout(image: BuiltImage, folder: Path, *, tag: str = "latest") -> Path:
    """An OCI image layout, for skopeo."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for digest, data in {**image.blobs, image.digest: image.manifest}.items():
        (blobs / digest.partition(":")[2]).write_bytes(data)
    entry = {
        "mediaType": image.media_type,
        "digest": image.digest,
        "size": len(image.manifest),
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder
