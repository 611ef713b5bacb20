"""What an engine's name or address says of where it is, before it is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

__all__ = ["dialect_named", "engine_host", "is_of_this_machine", "may_be_cluster"]

_LOOPBACK = "127.0.0.1"
_SWARM = "swarm"


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
    named = engine or environ.get("STACKR_ENGINE") or "embedded"
    return named != "embedded" and not named.startswith("docker+")


def dialect_named(engine: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """What the documents are called of an engine whose name says that it takes any; else ""."""
    named = engine or environ.get("STACKR_ENGINE") or "embedded"
    return _SWARM if named == _SWARM or named.startswith(f"{_SWARM}+") else ""


def _address(engine: str | None, environ: Mapping[str, str]) -> str:
    named = engine or environ.get("STACKR_ENGINE") or "embedded"
    named = named.removeprefix(f"{_SWARM}+").removeprefix("docker+")
    named = "docker" if named == _SWARM else named
    return environ.get("DOCKER_HOST", "") if named == "docker" else named
