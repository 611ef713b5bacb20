"""How lists of volumes are headed, those of a stack and all of an engine.

Source: docker/cli, cli/command/formatter/volume.go.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["VOLUME_HEADINGS", "VOLUME_UNKNOWN"]

VOLUME_HEADINGS: Mapping[str, str] = {
    "Availability": "AVAILABILITY",
    "Driver": "DRIVER",
    "Group": "GROUP",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Mountpoint": "MOUNTPOINT",
    "Name": "VOLUME NAME",
    "Scope": "SCOPE",
    "Size": "SIZE",
    "Status": "STATUS",
}
VOLUME_UNKNOWN = "N/A"
"""What only a cluster or `system df` knows."""
