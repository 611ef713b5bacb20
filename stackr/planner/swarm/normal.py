"""The normal form of a Swarm's specs: what means the same is the same.

A Swarm answers with five things that nobody sent: `Isolation: default`, `Runtime: container`,
`ForceUpdate: 0`, `MaxFailureRatio: 0`, and the networks' IDs instead of their names. Those, and
whatever else stands for the engine's default, are left out; lists whose order means nothing are
sorted. A normal spec can be sent as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["as_sent", "normal_image", "normal_network", "normal_service"]

_DEFAULTS: frozenset[tuple[str, str, Any]] = frozenset(
    {
        ("ContainerSpec", "Isolation", "default"),
        ("TaskTemplate", "Runtime", "container"),
        ("EndpointSpec", "Mode", "vip"),
        ("RestartPolicy", "Condition", "any"),
        ("UpdateConfig", "FailureAction", "pause"),
        ("UpdateConfig", "Order", "stop-first"),
        ("RollbackConfig", "FailureAction", "pause"),
        ("RollbackConfig", "Order", "stop-first"),
        ("Ports", "Protocol", "tcp"),
        ("Ports", "PublishMode", "ingress"),
        ("BindOptions", "Propagation", "rprivate"),
        ("Mounts", "Consistency", "default"),
    }
)
"""(what it is in, key, value) that say nothing."""
_COUNTED = ("ForceUpdate", "ConfigID", "SecretID")
"""What the engine counts or gives by itself."""
_ZERO_COUNTS = frozenset(
    {
        ("Replicated", "Replicas"),
        ("ReplicatedJob", "MaxConcurrent"),
        ("ReplicatedJob", "TotalCompletions"),
        ("UpdateConfig", "Parallelism"),
        ("RollbackConfig", "Parallelism"),
        ("RestartPolicy", "Delay"),
        ("ContainerSpec", "StopGracePeriod"),
        ("ContainerSpec", "Init"),
        ("File", "Mode"),
        ("Resources", "SwapBytes"),
        ("Resources", "MemorySwappiness"),
    }
)
"""Where 0, or false, is not the same as nothing."""
_EMPTY_COUNTS = frozenset({"Global", "GlobalJob", "Replicated", "ReplicatedJob"})
_FREE = frozenset({"Labels", "Options", "Sysctls", "DriverOpts"})
"""Maps whose keys and values are the user's."""
_UNORDERED = frozenset(
    {
        *("Env", "Mounts", "Networks", "Ports", "Secrets", "Configs", "Hosts", "Ulimits"),
        *("CapabilityAdd", "CapabilityDrop", "Groups", "Aliases", "GenericResources"),
        *("Constraints", "Platforms"),
    }
)
_SCALARS = (str, int, float)
_MAPPINGS = (dict, Mapping)
"""Almost all are dicts, which is quickly told; whether something is a Mapping is not."""
_FOLDERS = {"Secrets": "/run/secrets/", "Configs": "/"}


def normal_service(spec: Mapping[str, Any], names: Mapping[str, str] | None = None) -> Any:
    """A service's spec, without name and labels. names: of networks, by ID."""
    return _normal("", spec, names or {}) or {}


def _normal(parent: str, value: Any, names: Mapping[str, str]) -> Any:
    """The value that stands under a key; None if it says nothing."""
    if value is None or isinstance(value, _SCALARS):
        return value
    if isinstance(value, _MAPPINGS):
        if parent in _FREE:
            return dict(sorted(value.items())) or None
        found = _entries(parent, value, names)
        return found if found or parent in _EMPTY_COUNTS else None
    items = [_item(parent, item, names) for item in value]
    if parent in _UNORDERED and len(items) > 1:
        items.sort(key=_text)
    return items or None


def _entries(parent: str, value: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    normal: Any
    for key in sorted(value):
        normal = value[key]
        if normal is None or normal == "" or key in _COUNTED:
            continue
        if not isinstance(normal, _SCALARS):
            normal = _normal(key, normal, names)
        elif key == "MaxFailureRatio" and isinstance(normal, float):
            normal = round(normal, 6)
        elif key == "Target" and parent == "Networks":
            normal = names.get(str(normal), normal)
        if not _says_nothing(parent, key, normal):
            found[key] = normal
    return found


def _says_nothing(parent: str, key: str, value: Any) -> bool:
    if value is None or value == "":
        return True
    if isinstance(value, (dict, list)):
        return False
    if value == 0:
        return (parent, key) not in _ZERO_COUNTS
    return (parent, key, value) in _DEFAULTS


def _item(parent: str, item: Any, names: Mapping[str, str]) -> Any:
    """An item of a list keeps its place, even if it says nothing."""
    normal = _normal(parent, item, names)
    if parent in _FOLDERS and isinstance(normal, dict) and "File" in normal:
        file = dict(normal["File"])
        file["Name"] = str(file.get("Name", "")).removeprefix(_FOLDERS[parent])
        normal = {**normal, "File": file}
    if normal is None:
        return {} if isinstance(item, _MAPPINGS) else ""
    return normal


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


# --- what some engines forget ---------------------------------------------------------------------

_FORGOTTEN_OF_BIND = ("CreateMountpoint", "ReadOnlyNonRecursive", "ReadOnlyForceRecursive")


def as_sent(container: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """An observed `ContainerSpec` with what engines took and did not keep, as `sent` has it.

    Some do so with what the API of their version has: a difference that no update would mend.
    Source: moby #45713 (bind mounts, into their `ContainerSpec` but not out of it), #47152.
    """
    found = dict(container)
    by_target = {mount.get("Target"): mount for mount in sent.get("Mounts", ())}
    if "Mounts" in found:
        mounts = [
            _mount_as_sent(each, by_target.get(each.get("Target"))) for each in found["Mounts"]
        ]
        found["Mounts"] = sorted(mounts, key=_text)
    interval = (sent.get("Healthcheck") or {}).get("StartInterval")
    if interval and "Healthcheck" in found:
        found["Healthcheck"] = {"StartInterval": interval, **found["Healthcheck"]}
    return found


def _mount_as_sent(mount: Mapping[str, Any], sent: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if sent is None or mount.get("Type") != "bind":
        return mount
    options = sent.get("BindOptions", {})
    kept = {key: options[key] for key in _FORGOTTEN_OF_BIND if key in options}
    return {**mount, "BindOptions": {**kept, **mount.get("BindOptions", {})}} if kept else mount


# --- images --------------------------------------------------------------------------------------


def normal_image(image: str, label: str) -> str:
    """The image of an observed service as the stack file had it.

    label: what the file said when it was made. An image that is that one, with the digest that it
    had then, is that one; any other was put there by somebody else.
    """
    if not label:
        return image
    bare = image if "@" in label else image.partition("@")[0]
    return label if _familiar(bare) == _familiar(label) else image


def _familiar(reference: str) -> str:
    """`nginx`, `docker.io/library/nginx` and `nginx:latest` are one."""
    for prefix in ("docker.io/", "index.docker.io/", "library/"):
        reference = reference.removeprefix(prefix)
    name, at, digest = reference.partition("@")
    if not at and ":" not in name.rpartition("/")[2]:
        name += ":latest"
    return name + at + digest


# --- networks ------------------------------------------------------------------------------------

_NETWORK_KEYS = ("Driver", "Options", "IPAM", "Internal", "Attachable", "EnableIPv6")
_VXLAN = "com.docker.network.driver.overlay.vxlanid_list"
"""Which the driver chooses."""


def normal_network(spec: Mapping[str, Any], *, chosen: bool) -> dict[str, Any]:
    """chosen: the engine chose the addresses itself, so that they say nothing."""
    found = {key: spec[key] for key in _NETWORK_KEYS if spec.get(key)}
    options = {k: v for k, v in (found.pop("Options", None) or {}).items() if k != _VXLAN}
    ipam = _ipam(found.pop("IPAM", None) or {}, chosen=chosen)
    found |= {"Options": dict(sorted(options.items()))} if options else {}
    return found | ({"IPAM": ipam} if ipam else {})


def _ipam(ipam: Mapping[str, Any], *, chosen: bool) -> dict[str, Any]:
    driver = ipam.get("Driver") or ""
    pools = [
        {key: pool[key] for key in ("Subnet", "IPRange", "Gateway") if pool.get(key)}
        for pool in (() if chosen else ipam.get("Config") or ())
    ]
    return {
        **({"Driver": driver} if driver not in ("", "default") else {}),
        **({"Config": pools} if pools else {}),
    }
