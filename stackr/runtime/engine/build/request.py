"""What a build is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stackr.registry.auth import RegistryAuth
from stackr.runtime.engine.build.files import Context

__all__ = ["BuildRequest", "CacheFrom", "CacheTo", "NamedContext"]


@dataclass(frozen=True, slots=True)
class NamedContext:
    """What a `from` may name beside stages and images: an image, or files."""

    image: str = ""
    files: Context | None = None


@dataclass(frozen=True, slots=True)
class CacheFrom:
    """Where steps may come from: a name in a registry, the files of an OCI layout, or an image."""

    ref: str = ""
    files: Context | None = None
    image: str = ""


@dataclass(frozen=True, slots=True)
class CacheTo:
    """Where steps go: a name in a registry, or, where it is "", the image's configuration.

    is_max: see `stackr.build.cache_entry.CacheTarget`.
    """

    ref: str = ""
    is_max: bool = False
    ignores_errors: bool = False


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One build. dockerfile: its path in the context; text: it itself, in the context's place.

    host_config: what RUN steps get of the API's `HostConfig` (limits, hosts, network). secrets: by
    ID. ssh: paths of agents' sockets on this host, by ID. auths: credentials, by registry.
    no_cache_filter: stages of which nothing is taken from the cache. tells_keys: whether the end
    names the steps by their keys. keeps_failure: whether the state before a RUN that fails is left
    as an image without a name.
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
    cache_from: tuple[CacheFrom, ...] = ()
    cache_to: tuple[CacheTo, ...] = ()
    tells_keys: bool = False
    keeps_failure: bool = False

    @property
    def epoch(self) -> str:
        return self.arguments.get("SOURCE_DATE_EPOCH", "")
