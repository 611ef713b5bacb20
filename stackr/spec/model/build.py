"""`services.*.build`: how an image is made from source."""

from __future__ import annotations

from stackr.spec.model.base import Bytes, Model
from stackr.spec.model.mounts import FileGrant


class Ulimit(Model):
    """A resource limit of `setrlimit(2)`: `single` for both limits, or `soft` and `hard`."""

    single: int = 0
    soft: int = 0
    hard: int = 0

    @property
    def limits(self) -> tuple[int, int]:
        """The soft and the hard limit."""
        return (self.single, self.single) if self.single else (self.soft, self.hard)


class SshKey(Model):
    """An SSH agent socket or key that the build may use; no path means the user's agent."""

    id: str
    path: str | None = None


class Build(Model):
    """The build section; `context` is an absolute path or a URL."""

    context: str | None = None
    dockerfile: str | None = None
    dockerfile_inline: str | None = None
    entitlements: tuple[str, ...] = ()
    args: dict[str, str | None] = {}
    provenance: str | None = None
    sbom: str | None = None
    ssh: tuple[SshKey, ...] = ()
    labels: dict[str, str] = {}
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    no_cache: bool = False
    additional_contexts: dict[str, str] = {}
    pull: bool = False
    extra_hosts: dict[str, tuple[str, ...]] = {}
    isolation: str | None = None
    network: str | None = None
    target: str | None = None
    secrets: tuple[FileGrant, ...] = ()
    shm_size: Bytes = 0
    tags: tuple[str, ...] = ()
    ulimits: dict[str, Ulimit] = {}
    platforms: tuple[str, ...] = ()
    privileged: bool = False
