"""What the engine speaks: versions of the Engine API, and what it can beyond that."""

from __future__ import annotations

__all__ = ["API_VERSION", "CAPABILITIES", "MIN_API_VERSION", "version_text"]

API_VERSION = (1, 47)
MIN_API_VERSION = (1, 24)
CAPABILITIES = (
    *("build", "handover", "leases", "listed_limits", "locks", "network_repair", "probes"),
    *("snapshot", "update_labels", "update_lifts"),
)
"""By the names of `runtime.types.Capabilities`; docs/engine-api.md says what belongs to each."""


def version_text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
