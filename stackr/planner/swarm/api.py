"""Since which version of the Engine API a Swarm's services have a setting.

Source: moby, api/docs/CHANGELOG.md; for what it says of containers alone, daemon/cluster/convert.
"""

from __future__ import annotations

from collections.abc import Mapping

from stackr.planner.swarm.faults import Faults
from stackr.spec.rules import Path

__all__ = ["LEAST", "Api"]

LEAST = (1, 41)
"""Below that there are no jobs, capabilities, ulimits and limits of processes."""

_SINCE: Mapping[str, tuple[int, int]] = {
    "cluster_volumes": (1, 42),
    "create_host_path": (1, 44),
    "start_interval": (1, 44),
    "privileges": (1, 44),
    "recursive_read_only": (1, 44),
    "volume_subpath": (1, 45),
    "oom_score_adj": (1, 46),
    "tmpfs_options": (1, 46),
    "image_mounts": (1, 48),
    "swap": (1, 52),
}


class Api:
    """What the engine speaks; refuses what came later, by name."""

    def __init__(self, version: tuple[int, int], faults: Faults) -> None:
        self._version, self._faults = version, faults

    def has(self, feature: str) -> bool:
        return self._version >= _SINCE[feature]

    def check(self, feature: str, path: Path) -> bool:
        """Whether the engine has it; where not, that is a problem of the attribute at `path`."""
        if not self.has(feature):
            since, own = (f"{major}.{minor}" for major, minor in (_SINCE[feature], self._version))
            self._faults.add(
                path, f"not supported by this Swarm: its API is {own}, and {since} has it first"
            )
        return self.has(feature)
