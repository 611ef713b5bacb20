"""Names -> images: what is here, by which names, and what may go.

Records of kind `image` by ID and `image_name` by full reference, held in memory and written
through. A blob or a layer that no image, no container and no running pull needs is removed with
the last image that did; see `retention.py`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from stackr.errors import (
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    StackrError,
    Unauthorized,
    Unavailable,
)
from stackr.registry.auth import RegistryAuth
from stackr.registry.digest import digest_of, short_id
from stackr.registry.reference import Reference, parse_reference
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.image.archives import Archives
from stackr.runtime.engine.image.commit import Commit, image_config, manifest, pack_layer
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.history import history_of
from stackr.runtime.engine.image.model import (
    HistoryEntry,
    Image,
    NewImage,
    RemoteImage,
    StoredImage,
)
from stackr.runtime.engine.image.names import pullable, taggable
from stackr.runtime.engine.image.platform import (
    Platform,
    host_platform,
    matches,
    parse_platform,
    platform_of,
)
from stackr.runtime.engine.image.progress import ImageProgress, Report
from stackr.runtime.engine.image.pushable import (
    Pushable,
    names_to_push,
    pushable,
    pushed_name,
    repositories_with,
)
from stackr.runtime.engine.image.removal import (
    InUse,
    Removals,
    find_conflict,
    has_to_stay,
    is_id_of,
)
from stackr.runtime.engine.image.retention import Pin, Retention
from stackr.runtime.engine.image.unpack import Unpacker
from stackr.runtime.engine.linux.syscalls import trim_heap
from stackr.runtime.engine.records import Document, Kind
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.state import State
from stackr.text import parse_json

if TYPE_CHECKING:
    from stackr.registry.transport import Transport
    from stackr.runtime.engine.image.pull import Pulled
    from stackr.runtime.engine.image.remote import Remote

__all__ = ["IMAGE", "IMAGE_NAME", "Images"]

_log = logging.getLogger(__name__)

_HUBS: Final = {"index.docker.io": "docker.io", "registry-1.docker.io": "docker.io"}
_SETTLE_AFTER_S: Final = 5.0
_ID_PREFIX_RE: Final = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")

_REMOTE: Final = "stackr.runtime.engine.image.remote"

_ImageList = list[Image]  # as `Images.list` takes the name in the class
_History = list[HistoryEntry]
_StoredImages = list[StoredImage]


class Images:
    """The images of one engine; used on the event loop's thread."""

    def __init__(
        self, config: EngineConfig, state: State, events: EventBus, snapshots: Overlay
    ) -> None:
        self._config = config
        self._state = state
        self._events = events
        self._snapshots = snapshots
        self._content = ContentStore(config.content_root)
        self._unpacker = Unpacker(snapshots)
        self._remote: Remote | None = None
        self._images: dict[str, StoredImage] = {}
        self._names: dict[str, str] = {}
        self._drafts: dict[str, StoredImage] = {}
        self._kept: Callable[[], frozenset[str]] = frozenset
        self._retention = Retention(self._content, snapshots, self._blobs_of_images)
        self.archives = Archives(self, self._content, self._unpacker, self._retention, events)
        self._settling: asyncio.Task[None] | None = None
        snapshots.keep_layers(self._needed_layers)

    async def open(self) -> None:
        """Read the records; unpack again what is missing, drop what nothing refers to.

        The snapshotter is open already.
        """
        await asyncio.to_thread(self._content.open)
        self._images |= self._state.read(IMAGE, strict=True)
        for name, (id, reference) in self._state.read(IMAGE_NAME, strict=True).items():
            image = self._images.get(id)
            if image is None:
                self._state.delete(IMAGE_NAME.name, name)
                continue
            self._names[name] = image.id
            image.names[name] = reference
        for image in list(self._images.values()):
            await self._restore(image)
        await self._retention.open()
        self.settle_later()

    async def close(self) -> None:
        """Nothing is lost by it: what is not settled yet is so after the next start."""
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.wait([self._settling])
        await self._retention.close()

    def settle_later(self) -> None:
        """Let new layers reach the disk, when what they were pulled for has had time to start; and
        give back the memory that the pull took.
        """
        settled = self._settling is None or self._settling.done()
        if settled and self._snapshots.has_unsettled_layers():
            self._settling = asyncio.create_task(self._settle())

    async def _settle(self) -> None:
        await asyncio.sleep(_SETTLE_AFTER_S)
        await asyncio.to_thread(trim_heap)
        while self._snapshots.has_unsettled_layers():
            try:
                await asyncio.to_thread(self._snapshots.settle)
            except (OSError, StackrError) as error:
                _log.warning("layers: cannot be written to the disk: %s", error)
                return

    async def _restore(self, image: StoredImage) -> None:
        """Unpack the layers that are missing; an image that cannot be completed is forgotten."""
        for diff_id, digest in zip(image.diff_ids, image.layer_blobs, strict=True):
            if self._snapshots.layer(diff_id) is not None:
                continue
            try:
                if not digest:
                    raise NotFound(f"layer {diff_id}: was built here, and its files are lost")
                await self._unpacker.unpack(self._content.path(digest), diff_id=diff_id)
            except (OSError, StackrError) as error:
                _log.warning("image %s: cannot be restored: %s", short_id(image.id), error)
                self._forget(image)
                return

    async def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        auth: RegistryAuth | None = None,
        progress: Report = lambda _: None,
    ) -> Image:
        """Bring an image here, or see that it is here and up to date.

        reference: without a tag and a digest, `latest` is meant. Raises InvalidArgument for a
        malformed name, platform or image, NotFound, Unauthorized, Unavailable, Internal for a
        full disk.
        """
        name = pullable(reference)
        wanted = parse_platform(platform) if platform else None
        remote = await self.registries()
        progress(ImageProgress(f"Pulling from {name.path}", name.tag or name.digest))
        before = self._names.get(str(name))
        found = await self._from_mirrors(remote, name, wanted, progress)
        async with remote.transport(name, auth) as transport:
            try:
                image, digest = found or await self._current_or_pulled(
                    transport, name, wanted, progress
                )
            except OSError as error:
                reason = f"{self._config.data_root}: {error.strerror or error}"
                raise Internal(f"image {name.familiar}: cannot be stored: {reason}") from error
        self.settle_later()
        news = "Image is up to date for" if before == image.id else "Downloaded newer image for"
        progress(ImageProgress(f"Digest: {digest}"))
        progress(ImageProgress(f"Status: {news} {name.familiar}"))
        self._events.publish("image", "pull", name.familiar, self._attributes(image, name))
        return image.view()

    async def registries(self) -> Remote:
        """In a thread, so that the loop goes on while it is imported."""
        if self._remote is not None:
            return self._remote
        module = await asyncio.to_thread(importlib.import_module, _REMOTE)
        if self._remote is None:  # another caller may have been here while we waited
            parts = (self._content, self._snapshots, self._unpacker)
            self._remote = module.Remote(*parts, options=lambda: self._config.options)
        remote: Remote = self._remote
        return remote

    async def remote_tags(
        self, repository: str, *, auth: RegistryAuth | None = None
    ) -> Sequence[str]:
        """References of all that a repository has in its registry. Raises as `pull`."""
        name = parse_reference(repository)
        remote = await self.registries()
        async with remote.transport(name, auth) as transport:
            tags = await remote.tags(transport, name)
        return [str(parse_reference(f"{name.name}:{tag}")) for tag in tags]

    async def log_in(self, server: str, auth: RegistryAuth | None) -> None:
        """See whether a registry takes these credentials.

        server: `host[:port]`, perhaps with a scheme and a path, or "" for Docker Hub. Raises
        Unauthorized, Unavailable, InvalidArgument for an address that is none.
        """
        host = server.partition("://")[2] or server
        host = host.partition("/")[0] or "docker.io"
        name = parse_reference(f"{_HUBS.get(host, host)}/login/check")
        remote = await self.registries()
        async with remote.transport(name, auth) as transport:
            await remote.check_login(transport)

    async def resolve(self, reference: str, *, auth: RegistryAuth | None = None) -> RemoteImage:
        """What a name means in its registry now; nothing is pulled. Raises as `pull`."""
        name = pullable(reference)
        remote = await self.registries()
        async with remote.transport(name, auth) as transport:
            return await remote.describe(transport, name)

    async def push(
        self,
        repository: str,
        *,
        tag: str = "",
        auth: RegistryAuth | None = None,
        progress: Report = lambda _: None,
    ) -> None:
        """Push a name's image to its registry, or those of all of its repository's tags.

        repository: its tag, if it has one, gives way to `tag`. Raises NotFound and InvalidArgument
        with Docker's texts, Unauthorized, PermissionDenied, Unavailable; nothing has the tag then.
        """
        name = pushed_name(repository, tag)
        progress(ImageProgress(f"The push refers to repository [{name.name}]"))
        remote = await self.registries()
        async with remote.transport(name, auth) as transport:
            for each in names_to_push(self._images.values(), name):
                await self._push(remote, transport, each, progress)

    async def _push(
        self, remote: Remote, transport: Transport, name: Reference, report: Report
    ) -> None:
        image = self._images[self._names[str(name)]]
        async with self._retention.fetching() as pin:
            pin((*image.blobs, *image.diff_ids))
            await self.pack(image, pin)
            what = await asyncio.to_thread(pushable, image, self._content)
            sources = repositories_with(self._images.values(), name)
            what = await remote.push(
                *(transport, name, what, self._content),
                sources=sources,
                report=report,
                parallel=remote.uploads,
            )
            await self._record_push(image, name, what)
        pushed = (what.digest, len(what.raw))
        report(ImageProgress(f"{name.tag}: digest: {pushed[0]} size: {pushed[1]}"))
        report(ImageProgress("", name.tag, pushed=pushed))
        self._events.publish("image", "push", name.familiar, self._attributes(image, name))

    async def _record_push(self, image: StoredImage, name: Reference, what: Pushable) -> None:
        """By its digest the image is known to be in the registry, and can be pulled again."""
        if image.id not in self._images:
            return  # it was removed meanwhile
        await asyncio.to_thread(self._content.write, what.raw, digest=what.digest)
        with self._state.transaction():
            if what.digest not in image.manifests:
                image.manifests = (*image.manifests, what.digest)
                self._state.save(IMAGE, image.id, image)
            self._point(name.with_digest(what.digest), image)

    async def _from_mirrors(
        self, remote: Remote, name: Reference, wanted: Platform | None, report: Report
    ) -> tuple[StoredImage, str] | None:
        """From the first mirror that has it; None where none has, and the registry is asked."""
        for mirror in remote.mirrors(name):
            async with mirror:
                try:
                    return await self._current_or_pulled(mirror, name, wanted, report)
                except (NotFound, PermissionDenied, Unauthorized, Unavailable) as error:
                    _log.warning("mirror %s: %s: %s", mirror.domain, name.familiar, error.message)
        return None

    async def _current_or_pulled(
        self, transport: Transport, name: Reference, wanted: Platform | None, report: Report
    ) -> tuple[StoredImage, str]:
        puller = (await self.registries()).puller
        image = self._images.get(self._names.get(str(name), ""))
        if image is not None and self._is_usable(image, wanted):
            digest = name.digest or await puller.current_digest(transport, name)
            if digest and str(name.with_digest(digest)) in image.names:
                return image, digest
        self._state.check_room()
        async with self._retention.fetching() as pin:
            pulled = await puller.pull(transport, name, platform=wanted, report=report, pin=pin)
            return self._record(name, pulled), pulled.digest

    def _is_usable(self, image: StoredImage, wanted: Platform | None) -> bool:
        found = platform_of({"os": "linux", **image.oci})
        fits = found is None or matches(found, wanted or host_platform())
        return fits and all(self._snapshots.layer(diff_id) for diff_id in image.diff_ids)

    def _record(self, name: Reference, pulled: Pulled) -> StoredImage:
        new = NewImage(
            id=pulled.image_id,
            oci=pulled.config,
            layer_blobs=pulled.layer_blobs,
            manifests=(pulled.digest, pulled.manifest_digest),
            names=(name, name.with_digest(pulled.digest)),
        )
        return self.add([new])[0]

    def add(self, new: Sequence[NewImage]) -> Sequence[StoredImage]:
        """Record images and their names: all of them, or none."""
        with self._state.transaction():
            return [self._add(each) for each in new]

    def _add(self, new: NewImage) -> StoredImage:
        former = self._images.get(new.id)
        known = former.manifests if former else ()
        stored = StoredImage(
            id=new.id,
            oci=new.oci,
            manifests=tuple(dict.fromkeys((*known, *new.manifests))),
            layer_blobs=new.layer_blobs,
            size_bytes=sum(self._layer_size(each) for each in new.oci["rootfs"]["diff_ids"]),
            last_tagged=_now() if new.names or former is None else former.last_tagged,
            names=former.names if former else {},
            parent=former.parent if former else new.parent,
        )
        self._state.save(IMAGE, stored.id, stored)
        self._images[stored.id] = stored
        for name in new.names:
            self._point(name, stored)
        return stored

    def _layer_size(self, diff_id: str) -> int:
        layer = self._snapshots.layer(diff_id)
        return layer.size_bytes if layer else 0

    def _point(self, name: Reference, image: StoredImage) -> None:
        """Let `name` mean `image`, and no longer what it meant."""
        key = str(name)
        former = self._images.get(self._names.get(key, ""))
        if former is not None:
            former.names.pop(key, None)
        self._state.save(IMAGE_NAME, key, (image.id, name))
        self._names[key] = image.id
        image.names[key] = name

    def get(self, name_or_id: str) -> Image:
        """By name (tag `latest` where it has none), name and digest, ID, or the start of an ID.

        Raises NotFound (`No such image: x`), InvalidArgument for what is neither.
        """
        return self.find(name_or_id).view()

    def has(self, id: str) -> bool:
        """Whether an image is recorded under this whole ID; a draft is not."""
        return id in self._images

    def tags_of(self, repository: Reference) -> Mapping[str, Sequence[Reference]]:
        """The tags of a repository, by the IDs of their images, sorted."""
        found: dict[str, list[Reference]] = {}
        for key in sorted(self._names):
            name = self._images[self._names[key]].names[key]
            if name.name == repository.name and name.tag and not name.digest:
                found.setdefault(self._names[key], []).append(name)
        return found

    def find(self, name_or_id: str) -> StoredImage:
        """As `get`, the record itself."""
        if name_or_id in self._images:
            return self._images[name_or_id]
        if name_or_id in self._drafts:
            return self._drafts[name_or_id]
        prefix = _ID_PREFIX_RE.fullmatch(name_or_id)
        if prefix and (name_or_id.startswith("sha256:") or len(prefix[1]) == 64):
            return self._by_prefix(prefix[1], name_or_id)
        name = parse_reference(name_or_id).with_default_tag()
        keys = [str(name)] + ([str(name.with_digest(name.digest))] if name.digest else [])
        for key in keys:
            if key in self._names:
                return self._images[self._names[key]]
        if prefix:
            return self._by_prefix(prefix[1], name.familiar)
        raise NotFound(f"No such image: {name.familiar}")

    def _by_prefix(self, prefix: str, shown: str) -> StoredImage:
        found = [id for id in self._images if id.startswith(f"sha256:{prefix}")]
        if len(found) > 1:
            raise InvalidArgument(f"image ID {prefix} is ambiguous: {len(found)} images match")
        if not found:
            raise NotFound(f"No such image: {shown}")
        return self._images[found[0]]

    def list(self) -> _ImageList:
        """Every image, the newest first."""
        views = [image.view() for image in self._images.values()]
        return sorted(views, key=lambda image: (image.created, image.id), reverse=True)

    def history(self, name_or_id: str) -> _History:
        """How an image was built, the newest step first. Raises NotFound."""
        image = self.find(name_or_id)
        below, views = self._images.get(image.parent), [image.view()]
        while below is not None:
            views.append(below.view())
            below = self._images.get(below.parent)
        return history_of(views, [self._layer_size(diff_id) for diff_id in image.diff_ids])

    def layer_sizes(self) -> Mapping[str, int]:
        """Bytes in the unpacked layers, by their diff IDs."""
        return {diff_id: self._layer_size(diff_id) for diff_id in self._needed_layers()}

    def layer_folders(self, image: Image) -> Sequence[str]:
        """Where its layers are unpacked, base layer first; without those that are lost."""
        found = (diff_id for diff_id in image.diff_ids if self._snapshots.layer(diff_id))
        return [str(self._snapshots.folder(diff_id)) for diff_id in found]

    def layers_size(self) -> int:
        """Bytes in the unpacked layers of all images, each layer once."""
        return sum(self.layer_sizes().values())

    async def commit(self, commit: Commit, *, check: Callable[[], None] = lambda: None) -> Image:
        """Make an image of a container. check: raises where its files may have changed or gone.

        Raises Conflict where the container's image is not whole any more, InvalidArgument for the
        reference; nothing is left of a commit that fails.
        """
        name = taggable(commit.reference) if commit.reference else None
        base = self.find(commit.base)
        self._state.check_room()
        async with self._retention.fetching() as pin:
            pin((*base.blobs, *base.diff_ids))
            await self.pack(base, pin)
            layer = await pack_layer(commit.upper, self._content)
            check()
            blobs = base.layer_blobs
            if layer is not None:
                pin((layer.digest, layer.diff_id))
                await self._unpacker.unpack(self._content.path(layer.digest), diff_id=layer.diff_id)
                blobs = (*blobs, layer.digest)
            config = image_config(base.oci, commit, layer)
            raw = await asyncio.to_thread(manifest, config, blobs, self._content)
            pin((digest_of(config), digest_of(raw)))
            for data in (config, raw):
                await asyncio.to_thread(self._content.write, data, digest=digest_of(data))
            new = NewImage(
                id=digest_of(config),
                oci=parse_json(config),
                layer_blobs=tuple(blobs),
                manifests=(digest_of(raw),),
                names=(name,) if name else (),
                parent=base.id if base.id in self._images else "",
            )
            stored = self.add([new])[0]
        self.settle_later()
        self._events.publish("image", "create", stored.id, {"name": stored.id})
        if name is not None:
            self._events.publish("image", "tag", stored.id, self._attributes(stored, name))
        return stored.view()

    def check_room(self) -> None:
        """Raises Internal where the disk is full or read-only, before something new is made."""
        self._state.check_room()

    def has_layer(self, diff_id: str) -> bool:
        return self._snapshots.layer(diff_id) is not None

    def stored(self) -> _StoredImages:
        """Every image, with its names and blobs."""
        return list(self._images.values())

    @property
    def content(self) -> ContentStore:
        return self._content

    @property
    def unpacker(self) -> Unpacker:
        return self._unpacker

    @property
    def retention(self) -> Retention:
        return self._retention

    def keep_layers(self, needed: Callable[[], frozenset[str]]) -> None:
        """Ask `needed`, too, for diff IDs that are to be kept."""
        self._kept = needed

    @contextmanager
    def draft(self, diff_ids: Sequence[str]) -> Iterator[Image]:
        """An image without settings that only its ID finds, for the containers of a build.

        It is gone with the block; its layers are kept until then.
        """
        id = f"sha256:{secrets.token_hex(32)}"
        platform = host_platform()
        oci = {"os": platform.os, "architecture": platform.architecture}
        oci |= {"variant": platform.variant} if platform.variant else {}
        rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
        blobs = ("",) * len(diff_ids)
        self._drafts[id] = StoredImage(id, {**oci, "rootfs": rootfs}, (), blobs, 0, "")
        try:
            yield self._drafts[id].view()
        finally:
            del self._drafts[id]

    async def add_built(self, config: bytes, names: Sequence[str]) -> Image:
        """Record an image of layers that are unpacked, under these names.

        A layer that was built has no blob until one is wanted. Raises InvalidArgument for a name.
        """
        references = [taggable(name) for name in names]
        oci, id = parse_json(config), digest_of(config)
        await asyncio.to_thread(self._content.write, config, digest=id)
        blobs = self._blobs_of_layers()
        new = NewImage(
            id=id,
            oci=oci,
            layer_blobs=tuple(blobs.get(diff_id, "") for diff_id in oci["rootfs"]["diff_ids"]),
            names=tuple(references),
        )
        stored = self.add([new])[0]
        self.settle_later()
        for reference in references:
            self._events.publish("image", "tag", id, self._attributes(stored, reference))
        return stored.view()

    def _blobs_of_layers(self) -> Mapping[str, str]:
        """Diff ID -> a blob of it that is here."""
        return {
            diff_id: digest
            for image in self._images.values()
            for diff_id, digest in zip(image.diff_ids, image.layer_blobs, strict=True)
            if digest
        }

    async def pack(self, image: StoredImage, pin: Pin) -> None:
        """Make the blobs of layers that were built here and never packed."""
        own = zip(image.diff_ids, image.layer_blobs, strict=True)
        blobs = await self.packed(image.diff_ids, pin, {each: blob for each, blob in own if blob})
        whole = tuple(blobs[diff_id] for diff_id in image.diff_ids)
        if whole != image.layer_blobs:
            image.layer_blobs = whole
            self._state.save(IMAGE, image.id, image)

    async def packed(
        self, diff_ids: Iterable[str], pin: Pin, known: Mapping[str, str] | None = None
    ) -> Mapping[str, str]:
        """The blobs of layers that are here, which are made where there are none, by diff ID.

        They stay as long as they are pinned. Raises Internal for a full disk.
        """
        from stackr.runtime.engine.image.commit import pack_layer

        blobs = {**self._blobs_of_layers(), **(known or {})}
        for diff_id in diff_ids:
            if diff_id in blobs:
                continue
            folder = self._snapshots.folder(diff_id)
            packed = await pack_layer(folder, self._content)
            if packed is None or packed.diff_id != diff_id:
                raise Internal(f"layer {diff_id}: its files have been changed in {folder}")
            pin((packed.digest,))
            blobs[diff_id] = packed.digest
        pin(blobs[diff_id] for diff_id in diff_ids)
        return blobs

    def tag(self, source: str, target: str) -> None:
        """Let the name `target` mean the image `source`. Raises NotFound, InvalidArgument."""
        name = taggable(target)
        image = self.find(source)
        image.last_tagged = _now()
        with self._state.transaction():
            self._state.save(IMAGE, image.id, image)
            self._point(name, image)
        self._events.publish("image", "tag", image.id, self._attributes(image, name))

    async def remove(
        self, name_or_id: str, *, force: bool = False, prune: bool = True, in_use: InUse
    ) -> Removals:
        """Remove a name, and the image itself with its last name; by an ID, all its names.

        in_use: containers by image ID. prune is Docker's `noprune` turned around: whether untagged
        parents go too. Raises NotFound, and Conflict with Docker's texts where a container, another
        name or an image on top of this one is in the way.
        """
        image = self.find(name_or_id)
        self._state.check_writable()
        uses, has_children = in_use(image.id), self._has_children(image)
        conflict = find_conflict(image, name_or_id, uses, force=force, has_children=has_children)
        if conflict is not None:
            raise conflict
        if is_id_of(image, name_or_id):
            removals = self._untag(image, list(image.names.values()))
        else:
            removals = self._untag(image, self._names_that_go(image, name_or_id))
        if image.names or has_to_stay(uses, has_children=has_children, force=force):
            return removals
        return removals + await self._delete(image, in_use, prune=prune)

    def _has_children(self, image: StoredImage) -> bool:
        return any(other.parent == image.id for other in self._images.values())

    def _names_that_go(self, image: StoredImage, text: str) -> Sequence[Reference]:
        """The name itself, and the digests of its repository once no tag of that is left."""
        name = parse_reference(text).with_default_tag()
        name = name if str(name) in image.names else name.with_digest(name.digest or "")
        rest = [other for other in image.names.values() if other != name]
        same = [other for other in rest if other.name == name.name]
        if name.digest or any(not other.digest for other in same):
            return [name]
        return [name, *same]

    def _untag(self, image: StoredImage, names: Iterable[Reference]) -> Removals:
        removals: Removals = []
        for name in names:
            self._state.delete(IMAGE_NAME.name, str(name))
            del self._names[str(name)]
            del image.names[str(name)]
            self._events.publish("image", "untag", image.id, self._attributes(image, name))
            removals.append({"Untagged": name.familiar})
        return removals

    async def _delete(self, image: StoredImage, in_use: InUse, *, prune: bool) -> Removals:
        """With `prune`, and the images below it that nothing else needs and that have no name."""
        removals: Removals = []
        gone: StoredImage | None = image
        blobs: list[str] = []
        while gone is not None:
            self._forget(gone)
            self._events.publish("image", "delete", gone.id, {"name": gone.id})
            removals.append({"Deleted": gone.id})
            blobs += gone.blobs
            parent = self._images.get(gone.parent) if prune else None
            is_needed = parent and (parent.names or in_use(parent.id) or self._has_children(parent))
            gone = None if is_needed else parent
        released = await self._retention.withdraw(blobs)
        return [*removals, *({"Deleted": diff_id} for diff_id in released)]

    def _forget(self, image: StoredImage) -> None:
        with self._state.transaction():
            for name in image.names:
                self._state.delete(IMAGE_NAME.name, name)
                self._names.pop(name, None)
            self._state.delete(IMAGE.name, image.id)
        image.names.clear()
        self._images.pop(image.id, None)

    async def prune(
        self,
        *,
        dangling_only: bool = True,
        in_use: InUse,
        accept: Callable[[Image], bool] = lambda _: True,
    ) -> tuple[Removals, int]:
        """Remove the images that no container uses: the untagged ones, or all.

        accept: further filters. Returns what was removed, and the bytes freed in layers.
        """
        removals: Removals = []
        before = self.layers_size()
        for image in list(self._images.values()):
            view = image.view()
            is_gone = image.id not in self._images
            if is_gone or in_use(image.id) or not accept(view):
                continue
            if dangling_only and (view.repo_tags or self._has_children(image)):
                continue
            removals += self._untag(image, list(image.names.values()))
            if not self._has_children(image):
                removals += await self._delete(image, in_use, prune=True)
        await self._retention.give_back(0)
        return removals, before - self.layers_size()

    def _needed_layers(self) -> frozenset[str]:
        kept = self._retention.pinned | self._kept()
        images = (*self._images.values(), *self._drafts.values())
        return kept.union(*(image.diff_ids for image in images))

    def _blobs_of_images(self) -> frozenset[str]:
        return frozenset().union(*(image.blobs for image in self._images.values()))

    def _attributes(self, image: StoredImage, name: Reference) -> dict[str, str]:
        labels = (image.oci.get("config") or {}).get("Labels") or {}
        return {**{str(k): str(v) for k, v in labels.items()}, "name": name.familiar}


def _named(name: str, document: Document) -> tuple[str, Reference]:
    return document["image"], parse_reference(name)


IMAGE: Final = Kind("image", StoredImage.from_document, StoredImage.to_document)
IMAGE_NAME: Final = Kind("image_name", parse=_named, dump=lambda named: {"image": named[0]})


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
