"""What an engine's name or address says of where it is, before it is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from stackr.runtime.engine_names import (
    CLUSTERS,
    DOCKER,
    cluster_kind,
    engine_named,
    of_containers,
    plain,
)

__all__ = ["dialect_named", "engine_host", "is_of_this_machine", "may_be_cluster"]

_LOOPBACK = "127.0.0.1"


def is_of_this_machine(engine: str | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether it is reached by a socket of this machine: it sees our files and our process."""
    address = _address(engine, environ)
    return "://" not in address or address.startswith("unix://")


def engine_host(engine: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The host at which the engine publishes ports, as seen from here."""
    parts = urlsplit(_address(engine, environ))
    return parts.hostname or _LOOPBACK if parts.scheme in ("tcp", "ssh") else _LOOPBACK


def may_be_cluster(engine: str | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether only the engine itself can tell that it runs replicas on several machines."""
    return not of_containers(engine_named(engine, environ))


def dialect_named(engine: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """What the documents are called of an engine whose name says that it takes any; else ""."""
    return CLUSTERS.get(cluster_kind(engine_named(engine, environ)), "")


def _address(engine: str | None, environ: Mapping[str, str]) -> str:
    named = plain(engine_named(engine, environ))
    return environ.get("DOCKER_HOST", "") if named == DOCKER else named
