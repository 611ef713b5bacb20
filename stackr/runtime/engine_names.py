"""What engines are called, and what a name says of them before they are opened. Pure.

A name is `embedded`, `docker`, `context://NAME` or an address. A kind and `+` before one say what
is meant there: `docker+` its containers, `swarm+` the cluster that it manages. A cluster's kind
alone is that of the engine that `docker` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "CLUSTERS",
    "DOCKER",
    "EMBEDDED",
    "cluster_kind",
    "engine_named",
    "of_containers",
    "plain",
]

EMBEDDED = "embedded"
DOCKER = "docker"
CLUSTERS: Mapping[str, str] = MappingProxyType({"swarm": "swarm"})
"""Kinds of engines that run replicas themselves: as names have them -> the dialect of their
documents."""


def engine_named(engine: str | None, environ: Mapping[str, str]) -> str:
    """The name that was given, or else what STACKR_ENGINE says, or stackr's own."""
    return engine or environ.get("STACKR_ENGINE") or EMBEDDED


def cluster_kind(name: str) -> str:
    """The kind of cluster that a name says is meant; "" where it does not."""
    kind = name.partition("+")[0]
    return kind if kind in CLUSTERS else ""


def of_containers(name: str) -> bool:
    """Whether the name says that no cluster is meant."""
    return name == EMBEDDED or name.startswith(f"{DOCKER}+")


def plain(name: str) -> str:
    """The engine itself, without what is meant there: `docker`, or an address."""
    if name in CLUSTERS:
        return DOCKER
    kind, plus, rest = name.partition("+")
    return rest if plus and kind in (DOCKER, *CLUSTERS) else name
