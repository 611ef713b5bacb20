"""Images out of this engine and into it as archives: save, load, and import of a file system.

Source: Docker Engine API, "ImageGet", "ImageGetAll", "ImageLoad", "ImageCreate" (fromSrc).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackr.errors import InvalidArgument, NotFound
from stackr.registry.digest import digest_of
from stackr.registry.reference import Reference, parse_reference
from stackr.runtime.engine.image.commit import manifest
from stackr.runtime.engine.image.load import loaded, scratch
from stackr.runtime.engine.image.model import NewImage, StoredImage
from stackr.runtime.engine.image.parts import Parts
from stackr.runtime.engine.image.platform import Platform, check_made_for, host_platform
from stackr.runtime.engine.image.progress import ImageProgress, Report
from stackr.runtime.engine.image.pushable import pushable
from stackr.runtime.engine.image.removal import is_id_of
from stackr.runtime.engine.image.saved import SavedImage, archive_of
from stackr.runtime.engine.image.together import finish_in_thread
from stackr.text import parse_json

__all__ = ["Archives", "Import"]

_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Import:
    """What is asked for. config: with the keys of the OCI configuration. created: RFC 3339."""

    created: str
    config: Mapping[str, Any] = field(default_factory=dict)
    name: Reference | None = None
    message: str = ""
    platform: Platform | None = None


class Archives:
    """The archives of one engine's images."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._content = parts.content
        self._unpacker = parts.unpacker
        self._retention = parts.retention
        self._events = parts.events

    @asynccontextmanager
    async def saved(
        self, names: Sequence[str], platform: Platform | None
    ) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """The images of these names as one archive; nothing of them goes before the block ends.

        A repository without a tag stands for all of its tags. Raises NotFound.
        """
        asked = self._asked_for(names)
        for image, _ in asked.values():
            if platform is not None:
                check_made_for({"os": "linux", **image.oci}, platform, name=image.id)
        async with self._retention.fetching() as pin:
            images = []
            for image, references in asked.values():
                pin((*image.blobs, *image.diff_ids))
                await self._parts.packing.pack(image, pin)
                what = await asyncio.to_thread(pushable, image, self._content)
                images.append(SavedImage(image, what, references))
            yield archive_of(images, self._content)
        for image, _ in asked.values():
            self._tell("save", image)

    def _asked_for(self, names: Sequence[str]) -> dict[str, tuple[StoredImage, list[Reference]]]:
        """By the ID: an image, and its names that go with it."""
        asked: dict[str, tuple[StoredImage, list[Reference]]] = {}
        for text in names:
            for id, references in self._named(text).items():
                known = asked.setdefault(id, (self._store.find(id), []))[1]
                known += [name for name in references if name not in known]
        return asked

    def _named(self, text: str) -> Mapping[str, Sequence[Reference]]:
        with suppress(InvalidArgument):  # an ID, which is no name
            name = parse_reference(text)
            if not name.tag and not name.digest and (found := self._store.tags_of(name)):
                return found
        image = self._store.find(text)
        if "@" in text or is_id_of(image, text):
            return {image.id: ()}
        return {image.id: (parse_reference(text).with_default_tag(),)}

    async def load(
        self, archive: AsyncIterator[bytes], *, platform: Platform | None, progress: Report
    ) -> None:
        """Bring the images of an archive here, and give them the names that it says.

        Raises InvalidArgument for what is damaged, hostile or no archive of images, NotFound for
        the platform, Internal for a full disk; nothing is left of it then.
        """
        self._parts.state.check_room()
        async with self._retention.fetching(resumable=False) as pin:
            images = await loaded(
                archive,
                self._content,
                self._unpacker,
                platform=platform,
                report=progress,
                pin=pin,
            )
            new = [
                NewImage(
                    id=each.found.id,
                    oci=each.config,
                    layer_blobs=each.layer_blobs,
                    manifests=each.manifests,
                    names=each.found.names,
                    attestations=each.attestations,
                )
                for each in images
            ]
            for each in new:
                self._tell_renamed(each, progress)
            stored = self._store.add(new)
        self._parts.settling.later()
        for image, each in zip(stored, new, strict=True):
            for text in [f"Loaded image: {name.familiar}" for name in each.names] or [
                f"Loaded image ID: {image.id}"
            ]:
                progress(ImageProgress(f"{text}\n", is_stream=True))
            self._tell("load", image)

    def _tell_renamed(self, new: NewImage, progress: Report) -> None:
        """Of names that mean another image so far."""
        for name in new.names:
            with suppress(NotFound):
                former = self._store.find(str(name))
                if former.id != new.id:
                    text = (
                        f"The image {name.familiar} already exists, renaming the old one with ID"
                        f" {former.id} to empty string\n"
                    )
                    progress(ImageProgress(text, is_stream=True))

    async def import_root(self, archive: AsyncIterator[bytes], asked: Import) -> StoredImage:
        """An image of one layer, which is all that the archive has. Raises as `load`."""
        self._parts.state.check_room()
        async with (
            self._retention.fetching(resumable=False) as pin,
            scratch(self._content) as folder,
        ):
            blob = folder / "root"
            digest = await _written(archive, blob)
            layer = await self._unpacker.unpack(blob, diff_id="")
            pin((digest, layer.diff_id))
            await asyncio.to_thread(self._content.adopt, blob, digest=digest)
            config = _config(asked, layer.diff_id)
            raw = await asyncio.to_thread(manifest, config, [digest], self._content)
            pin((digest_of(config), digest_of(raw)))
            for data in (config, raw):
                await asyncio.to_thread(self._content.write, data, digest=digest_of(data))
            new = NewImage(
                id=digest_of(config),
                oci=parse_json(config),
                layer_blobs=(digest,),
                manifests=(digest_of(raw),),
                names=(asked.name,) if asked.name else (),
            )
            stored = self._store.add([new])[0]
        self._parts.settling.later()
        if asked.name is not None:
            self._events.publish("image", "tag", stored.id, {"name": asked.name.familiar})
        self._tell("import", stored)
        return stored

    def _tell(self, action: str, image: StoredImage) -> None:
        self._events.publish("image", action, image.id, {"name": image.id})


async def _written(archive: AsyncIterator[bytes], file: Path) -> str:
    """The digest of what is written to a new file."""
    sha256 = hashlib.sha256()
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb", buffering=_BUFFER) as output:

        def write(piece: bytes) -> None:
            sha256.update(piece)
            output.write(piece)

        async for piece in archive:
            await finish_in_thread(write, piece)
    return f"sha256:{sha256.hexdigest()}"


def _config(asked: Import, diff_id: str) -> bytes:
    platform = asked.platform or host_platform()
    value = {
        "architecture": platform.architecture,
        **({"variant": platform.variant} if platform.variant else {}),
        "os": platform.os,
        "created": asked.created,
        "comment": asked.message,
        "config": {key: value for key, value in asked.config.items() if value},
        "history": [{"created": asked.created, "comment": asked.message}],
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
