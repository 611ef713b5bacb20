"""What images have to do with registries; imported with the first pull or push.

The HTTP client takes 0.2 s and 15 MB to import, and many a daemon needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stackr.errors import InvalidArgument
from stackr.registry.auth import RegistryAuth
from stackr.registry.client import Registry
from stackr.registry.reference import DEFAULT_DOMAIN, Reference
from stackr.registry.transport import Transport, is_plain_http
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.pull import Puller, describe_remote
from stackr.runtime.engine.image.push import push_image
from stackr.runtime.engine.image.unpack import Unpacker
from stackr.runtime.engine.options import EngineOptions
from stackr.runtime.engine.snapshot.overlay import Overlay

__all__ = ["Remote"]


class Remote:
    """The registries, for the images of one engine, by its options of the moment."""

    def __init__(
        self,
        content: ContentStore,
        snapshots: Overlay,
        unpacker: Unpacker,
        *,
        options: Callable[[], EngineOptions],
    ) -> None:
        self._options = options
        self.puller = Puller(content, snapshots, unpacker, self._downloads, self._download_attempts)
        self.describe = describe_remote
        self.registry = Registry
        self.push = push_image

    def _downloads(self) -> int:
        return self._options().max_concurrent_downloads

    def _download_attempts(self) -> int:
        return self._options().max_download_attempts

    @property
    def uploads(self) -> int:
        """How many layers of one push are sent at a time."""
        return self._options().max_concurrent_uploads

    def mirrors(self, name: Reference) -> Iterator[Transport]:
        """Where a name of Docker Hub is looked for first, in this order, by no credentials."""
        if name.domain == DEFAULT_DOMAIN:
            for mirror in self._options().registry_mirrors:
                scheme, _, host = mirror.rstrip("/").partition("://")
                yield Transport(host, None, plain_http=scheme == "http")

    def transport(self, name: Reference, auth: RegistryAuth | None) -> Transport:
        """To a name's registry, on behalf of a caller. Raises InvalidArgument."""
        try:
            plain = is_plain_http(name.domain, self._options().insecure_registries)
            return Transport(name.domain, auth, plain_http=plain)
        except ValueError as error:  # a port beyond 65535, a network that is none
            raise InvalidArgument(f'registry "{name.domain}": invalid address: {error}') from error

    async def tags(self, transport: Transport, repository: Reference) -> list[str]:
        """Every tag of a repository. Raises as `Registry`."""
        return await Registry(transport, repository).tags()

    async def check_login(self, transport: Transport) -> None:
        """Whether the registry takes the caller's credentials. Raises Unauthorized, Unavailable."""
        async with transport.request("GET", "/v2/", scope=""):
            pass
