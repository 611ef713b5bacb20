"""Images from registries and to them: what is asked of them, and how it is recorded here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from stackr.errors import Internal, NotFound, PermissionDenied, Unauthorized, Unavailable
from stackr.registry.auth import RegistryAuth
from stackr.registry.reference import Reference, parse_reference
from stackr.runtime.engine.image.model import Image, NewImage, RemoteImage, StoredImage
from stackr.runtime.engine.image.names import pullable
from stackr.runtime.engine.image.parts import Parts
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
from stackr.runtime.engine.image.store import event_attributes

if TYPE_CHECKING:
    from stackr.registry.transport import Transport
    from stackr.runtime.engine.image.pull import Pulled
    from stackr.runtime.engine.image.remote import Remote

__all__ = ["Distribution"]

_log = logging.getLogger(__name__)

_HUBS: Final = {"index.docker.io": "docker.io", "registry-1.docker.io": "docker.io"}
_Answer = TypeVar("_Answer")
_REMOTE: Final = "stackr.runtime.engine.image.remote"


class Distribution:
    """Of one engine's images; used on the event loop's thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._content = parts.content
        self._remote: Remote | None = None

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
        before = self._store.named(name)
        pulling = partial(self._current_or_pulled, name, wanted, progress)
        try:
            image, digest = await _asked(remote, name, auth, pulling)
        except OSError as error:
            reason = f"{self._parts.config.data_root}: {error.strerror or error}"
            raise Internal(f"image {name.familiar}: cannot be stored: {reason}") from error
        self._parts.settling.later()
        is_known = before is not None and before.id == image.id
        news = "Image is up to date for" if is_known else "Downloaded newer image for"
        progress(ImageProgress(f"Digest: {digest}"))
        progress(ImageProgress(f"Status: {news} {name.familiar}"))
        self._announce("pull", image, name)
        return image.view()

    async def registries(self) -> Remote:
        """Imported the first time. Raises Conflict as `LateImports.module`."""
        if self._remote is not None:
            return self._remote
        module = await self._parts.late.module(_REMOTE)
        if self._remote is None:  # another caller may have been here while we waited
            parts = (self._content, self._parts.snapshots, self._parts.unpacker)
            self._remote = module.Remote(*parts, options=lambda: self._parts.config.options)
        remote: Remote = self._remote
        return remote

    async def remote_tags(
        self, repository: str, *, auth: RegistryAuth | None = None
    ) -> Sequence[str]:
        """References of all that a repository has in its registry. Raises as `pull`."""
        name = parse_reference(repository)
        remote = await self.registries()
        tags = await _asked(remote, name, auth, lambda transport: remote.tags(transport, name))
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
        return await _asked(remote, name, auth, lambda transport: remote.describe(transport, name))

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
            for each in names_to_push(self._store, name):
                await self._push(remote, transport, each, progress)

    async def _push(
        self, remote: Remote, transport: Transport, name: Reference, report: Report
    ) -> None:
        image = self._store.find(str(name))
        async with self._parts.retention.fetching() as pin:
            pin((*image.blobs, *image.diff_ids))
            await self._parts.packing.pack(image, pin)
            what = await asyncio.to_thread(pushable, image, self._content)
            sources = repositories_with(self._store, name)
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
        self._announce("push", image, name)

    async def _record_push(self, image: StoredImage, name: Reference, what: Pushable) -> None:
        """By its digest the image is known to be in the registry, and can be pulled again."""
        if image.id not in self._store:
            return  # it was removed meanwhile
        await asyncio.to_thread(self._content.write, what.raw, digest=what.digest)
        with self._parts.state.transaction():
            if what.digest not in image.manifests:
                image.manifests = (*image.manifests, what.digest)
                self._store.save(image)
            self._store.point(name.with_digest(what.digest), image)

    async def _current_or_pulled(
        self, name: Reference, wanted: Platform | None, report: Report, transport: Transport
    ) -> tuple[StoredImage, str]:
        puller = (await self.registries()).puller
        image = self._store.named(name)
        if image is not None and self._is_usable(image, wanted):
            digest = name.digest or await puller.current_digest(transport, name)
            if digest and str(name.with_digest(digest)) in image.names:
                return image, digest
        self._parts.state.check_room()
        async with self._parts.retention.fetching() as pin:
            pulled = await puller.pull(transport, name, platform=wanted, report=report, pin=pin)
            return self._record(name, pulled), pulled.digest

    def _is_usable(self, image: StoredImage, wanted: Platform | None) -> bool:
        found = platform_of({"os": "linux", **image.oci})
        fits = found is None or matches(found, wanted or host_platform())
        return fits and all(self._parts.snapshots.layer(diff_id) for diff_id in image.diff_ids)

    def _record(self, name: Reference, pulled: Pulled) -> StoredImage:
        new = NewImage(
            id=pulled.image_id,
            oci=pulled.config,
            layer_blobs=pulled.layer_blobs,
            manifests=(pulled.digest, pulled.manifest_digest),
            names=(name, name.with_digest(pulled.digest)),
            attestations=pulled.attestations,
        )
        return self._store.add([new])[0]

    def _announce(self, action: str, image: StoredImage, name: Reference) -> None:
        """As Docker does, by the name and not by the ID."""
        attributes = event_attributes(image, name)
        self._parts.events.publish("image", action, name.familiar, attributes)


async def _asked(
    remote: Remote,
    name: Reference,
    auth: RegistryAuth | None,
    ask: Callable[[Transport], Awaitable[_Answer]],
) -> _Answer:
    """What the first mirror that has it says; where none has, what the registry says."""
    for mirror in remote.mirrors(name):
        async with mirror:
            try:
                return await ask(mirror)
            except (NotFound, PermissionDenied, Unauthorized, Unavailable) as error:
                _log.warning("mirror %s: %s: %s", mirror.domain, name.familiar, error.message)
    async with remote.transport(name, auth) as transport:
        return await ask(transport)
