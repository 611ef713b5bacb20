"""`/system/df` in its newer form: for each kind of thing a count and sums; pure.

Source: Docker Engine API, "SystemDataUsage", versions 1.52 and 1.53; docker/cli
`cli/command/formatter/disk_usage.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["summed"]

_Item = Mapping[str, Any]
_UP = ("running", "paused", "restarting")


def _own_bytes(image: _Item) -> int:
    return int(image["Size"] - max(image["SharedSize"], 0))


def _written_bytes(container: _Item) -> int:
    return int(container.get("SizeRw") or 0)


def _held_bytes(volume: _Item) -> int:
    return max(int(volume["UsageData"]["Size"]), 0)


def _cached_bytes(entry: _Item) -> int:
    return 0 if entry.get("Shared") else int(entry["Size"])


_KINDS: Mapping[str, tuple[str, Callable[[_Item], int], Callable[[_Item], bool]]] = {
    "Images": ("ImageUsage", _own_bytes, lambda image: image["Containers"] > 0),
    "Containers": ("ContainerUsage", _written_bytes, lambda each: each["State"] in _UP),
    "Volumes": ("VolumeUsage", _held_bytes, lambda volume: volume["UsageData"]["RefCount"] > 0),
    "BuildCache": ("BuildCacheUsage", _cached_bytes, lambda entry: bool(entry.get("InUse"))),
}


def summed(usage: Mapping[str, Any], *, verbose: bool) -> dict[str, Any]:
    """What versions before 1.52 show, with the sums; verbose: these alone, with their items.

    The older fields are left in for clients that know no others.
    """
    sums = {
        name: _sum(usage[kind], bytes_of, is_active) | ({"Items": usage[kind]} if verbose else {})
        for kind, (name, bytes_of, is_active) in _KINDS.items()
        if kind in usage
    }
    if "ImageUsage" in sums:  # layers that images share count once
        total = usage["LayersSize"]
        images = sums["ImageUsage"]
        used = images["TotalSize"] - images["Reclaimable"]
        sums["ImageUsage"] = {**images, "TotalSize": total, "Reclaimable": total - used}
    return sums if verbose else {**usage, **sums}


def _sum(
    items: list[_Item], bytes_of: Callable[[_Item], int], is_active: Callable[[_Item], bool]
) -> dict[str, Any]:
    return {
        "ActiveCount": sum(map(is_active, items)),
        "TotalCount": len(items),
        "TotalSize": sum(map(bytes_of, items)),
        "Reclaimable": sum(bytes_of(item) for item in items if not is_active(item)),
    }
