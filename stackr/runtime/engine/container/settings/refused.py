"""The keys of a create body that Docker knows and this engine does not honour.

Each is refused by name when it holds more than its default, so that nothing is silently left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.engine.container.settings.keys import matched

__all__ = ["OCI_RUNTIMES", "check_runtime", "refuse_fixed", "refuse_unsupported"]

_EMPTY: tuple[object, ...] = (None, "", 0, False, [], {}, [""])

# Key -> further values, beside the empty ones, that mean what this engine does anyway.
_HOST_CONFIG: Mapping[str, tuple[object, ...]] = {
    "Cgroup": (),
    "CpuCount": (),
    "CpuPercent": (),
    "IOMaximumBandwidth": (),
    "IOMaximumIOps": (),
    "KernelMemory": (),
    "KernelMemoryTCP": (),
    "UsernsMode": ("host",),
}


OCI_RUNTIMES = ("runc", "crun")
_RUNTIMES = ("", "io.containerd.runc.v2", *OCI_RUNTIMES)


def check_runtime(name: str) -> None:
    """Raise InvalidArgument, with Docker's text, for a name that none of the runtimes has."""
    if name not in _RUNTIMES:
        raise InvalidArgument(f"Unknown runtime specified {name}")


def refuse_unsupported(body: Mapping[str, Any]) -> None:
    """Raise NotSupported, naming the key, for the first key that is set and not honoured."""
    host_config = matched(body, ("HostConfig",)).get("HostConfig")
    if not isinstance(host_config, Mapping):
        return
    host_config = matched(host_config, _HOST_CONFIG)
    for key, harmless in _HOST_CONFIG.items():
        value = host_config.get(key)
        if value not in _EMPTY and value not in harmless:
            raise NotSupported(f"HostConfig.{key}: not supported by the embedded engine: {value!r}")


def refuse_fixed(body: Mapping[str, Any]) -> None:
    """Raise NotSupported for what an update cannot change, and dockerd passes over in silence."""
    keys = ("Devices", "DeviceCgroupRules", "DeviceRequests", "StorageOpt")
    given = matched(body, keys)
    for key in keys:
        if given.get(key) not in _EMPTY:
            raise NotSupported(f"{key}: cannot be changed by an update")
