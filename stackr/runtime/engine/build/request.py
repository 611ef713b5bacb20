"""What a build is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stackr.registry.auth import RegistryAuth
from stackr.runtime.engine.build.files import Context

__all__ = ["BuildRequest", "NamedContext"]


@dataclass(frozen=True, slots=True)
class NamedContext:
    """What a `from` may name beside stages and images: an image, or files."""

    image: str = ""
    files: Context | None = None


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One build. dockerfile: its path in the context; text: it itself, in the context's place.

    host_config: what RUN steps get of the API's `HostConfig` (limits, hosts, network). secrets: by
    ID. ssh: paths of agents' sockets on this host, by ID. auths: credentials, by registry.
    no_cache_filter: stages of which nothing is taken from the cache.
    """

    context: Context
    dockerfile: str = "Dockerfile"
    text: bytes | None = None
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    platform: str = ""
    pull: bool = False
    no_cache: bool = False
    no_cache_filter: frozenset[str] = frozenset()
    host_config: Mapping[str, Any] = field(default_factory=dict)
    contexts: Mapping[str, NamedContext] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    ssh: Mapping[str, str] = field(default_factory=dict)
    auths: Mapping[str, RegistryAuth] = field(default_factory=dict, repr=False)

    @property
    def epoch(self) -> str:
        return self.arguments.get("SOURCE_DATE_EPOCH", "")
