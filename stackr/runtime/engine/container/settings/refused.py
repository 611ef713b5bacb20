"""The keys of a create body that Docker knows and this engine does not honour.

Each is refused by name when it holds more than its default, so that nothing is silently left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackr.errors import NotSupported

__all__ = ["refuse_fixed", "refuse_unsupported"]

_EMPTY: tuple[object, ...] = (None, "", 0, False, [], {}, [""])

# Key -> further values, beside the empty ones, that mean what this engine does anyway.
_HOST_CONFIG: Mapping[str, tuple[object, ...]] = {
    "Cgroup": (),
    "CpuCount": (),
    "CpuPercent": (),
    "DeviceRequests": (),
    "IOMaximumBandwidth": (),
    "IOMaximumIOps": (),
    "Isolation": ("default",),
    "KernelMemory": (),
    "KernelMemoryTCP": (),
    "Links": (),
    "Runtime": ("runc", "crun", "io.containerd.runc.v2"),
    "StorageOpt": (),
    "UsernsMode": ("host",),
    "VolumeDriver": ("local",),
}


def refuse_unsupported(body: Mapping[str, Any]) -> None:
    """Raise NotSupported, naming the key, for the first key that is set and not honoured."""
    host_config = body.get("HostConfig")
    if not isinstance(host_config, Mapping):
        return
    for key, harmless in _HOST_CONFIG.items():
        value = host_config.get(key)
        if value not in _EMPTY and value not in harmless:
            raise NotSupported(f"HostConfig.{key}: not supported by the embedded engine: {value!r}")


def refuse_fixed(body: Mapping[str, Any]) -> None:
    """Raise NotSupported for what an update cannot change, and dockerd passes over in silence."""
    for key in ("Devices", "DeviceCgroupRules", "Ulimits"):
        if body.get(key) not in _EMPTY:
            raise NotSupported(f"{key}: cannot be changed by an update")
