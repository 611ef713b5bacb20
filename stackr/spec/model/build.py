"""`services.*.build`: how an image is made from source."""

import re
from typing import Annotated, Any, ClassVar

from stackr.spec import canonical, decode, identity, paths
from stackr.spec.attribute import (
    MODEL_ONLY,
    At,
    IsPath,
    LongForm,
    Since,
    Unique,
    only,
    partly,
    refused,
    supported,
)
from stackr.spec.model.base import Model
from stackr.spec.model.mounts import FileGrant
from stackr.spec.model.types import Bytes, Hosts, Labels, Variables, Words


class Ulimit(Model):
    """A resource limit of `setrlimit(2)`: `single` for both limits, or `soft` and `hard`."""

    read_as: ClassVar[type[decode.Struct]] = decode.Ulimit

    single: Annotated[int, MODEL_ONLY] = 0
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


_ABSENT = partly("false; nothing attests to an image", lambda value: value != "false")


def _is_other_cache(entries: Any) -> bool:
    """Whether a back-end is named that nothing here speaks to."""
    return any(re.search(r"(?:^|,)\s*type=(?:gha|s3|azblob)\b", each) for each in entries)


class Build(Model):
    """The build section; `context` is an absolute path or a URL."""

    context: Annotated[str | None, IsPath(paths.context)] = None
    dockerfile: str | None = None
    dockerfile_inline: str | None = None
    entitlements: Annotated[
        tuple[str, ...], refused("steps run as containers do", is_everywhere=True)
    ] = ()
    args: Variables = {}
    provenance: Annotated[str | None, LongForm(canonical.text), _ABSENT] = None
    sbom: Annotated[str | None, LongForm(canonical.text), _ABSENT] = None
    ssh: Annotated[
        tuple[SshKey, ...],
        decode.SshKeys(SshKey),
        LongForm(canonical.ssh),
        At("*", IsPath(paths.maybe_windows)),
    ] = ()
    labels: Labels = {}
    cache_from: Annotated[Words, partly("type=registry or local", _is_other_cache)] = ()
    cache_to: Annotated[Words, partly("type=registry, local or inline", _is_other_cache)] = ()
    no_cache: bool = False
    no_cache_filter: Annotated[Words, supported("stages by name"), Since("5.0.0")] = ()
    additional_contexts: Annotated[
        Labels,
        LongForm(canonical.contexts),
        At("*", IsPath(paths.context)),
    ] = {}
    pull: bool = False
    extra_hosts: Hosts = {}
    isolation: Annotated[
        str | None, only("default", note="default, which is all that Linux has")
    ] = None
    network: str | None = None
    target: str | None = None
    secrets: Annotated[tuple[FileGrant, ...], At("*", LongForm(canonical.source))] = ()
    shm_size: Bytes = 0
    tags: Annotated[Words, Unique(identity.name)] = ()
    ulimits: Annotated[dict[str, Ulimit], At("*", LongForm(canonical.ulimit))] = {}
    platforms: Words = ()
    privileged: Annotated[
        bool, refused("steps run as containers do, without privileges", is_everywhere=True)
    ] = False
