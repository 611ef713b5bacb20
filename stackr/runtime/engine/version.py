"""What the engine speaks: versions of the Engine API, and what it can beyond that."""

from __future__ import annotations

from stackr.version import __version__

__all__ = ["API_VERSION", "CAPABILITIES", "DOCKER_VERSION", "MIN_API_VERSION", "version_text"]

API_VERSION = (1, 56)
MIN_API_VERSION = (1, 24)
DOCKER_VERSION = f"29.0.0+stackr.{__version__}"
"""For programs that want a least version of Docker; who else it is stands behind the plus, and in
the components of `/version`.
"""
CAPABILITIES = (
    *("build", "handover", "leases", "listed_limits", "locks", "network_repair", "probes"),
    *("restart_unhealthy", "snapshot", "update_labels", "update_lifts"),
)
"""By the names of `runtime.types.Capabilities`; docs/engine-api.md says what belongs to each."""


def version_text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
