"""The keys of a create body that Docker knows and this engine does not honour.

Each is refused by name when it holds more than its default, so that nothing is silently left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackr.errors import NotSupported

__all__ = ["refuse_unsupported"]

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
_BIND_OPTIONS: Mapping[str, tuple[object, ...]] = {"ReadOnlyForceRecursive": ()}


def refuse_unsupported(body: Mapping[str, Any]) -> None:
    """Raise NotSupported, naming the key, for the first key that is set and not honoured."""
    host_config = body.get("HostConfig")
    if not isinstance(host_config, Mapping):
        return
    _refuse("HostConfig", host_config, _HOST_CONFIG)
    mounts = host_config.get("Mounts")
    for mount in mounts if isinstance(mounts, list) else []:
        if isinstance(mount, Mapping):
            _refuse_mount(mount)


def _refuse_mount(mount: Mapping[str, Any]) -> None:
    options = mount.get("BindOptions")
    if isinstance(options, Mapping):
        _refuse("HostConfig.Mounts.BindOptions", options, _BIND_OPTIONS)


def _refuse(
    where: str, given: Mapping[str, Any], refused: Mapping[str, tuple[object, ...]]
) -> None:
    for key, harmless in refused.items():
        value = given.get(key)
        if value not in _EMPTY and value not in harmless:
            raise NotSupported(f"{where}.{key}: not supported by the embedded engine: {value!r}")
