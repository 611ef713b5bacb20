"""How a file overrides the ones before it, and a service the one that it extends.

Maps merge, lists append, the rest is replaced; MERGE_RULES are the exceptions. Afterwards
UNIQUE_RULES keep the last of the list entries that stand for the same thing.
Source: compose-go, override/merge.go and override/uncity.go; Compose Specification, 13-merge.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from stackr.spec.rules import Branch, Path, apply, show, table
from stackr.spec.short import parse_volume
from stackr.spec.units import go_text, is_int

Merge: TypeAlias = Callable[[Any, Any, "Branch[Any] | None", Path], Any]


class CannotMerge(Exception):
    """Two values of kinds that do not go together; `path` is of the later one."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"cannot override {show(path)}")
        self.path = path


def merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """Merge a stack file's tree into that of the files before it, which is used up.

    Raises CannotMerge.
    """
    merged: dict[str, Any] = _merge(base, override, MERGE_RULES, ())
    return merged


def extend_service(base: dict[str, Any], service: dict[str, Any], name: str) -> dict[str, Any]:
    """Merge a service into the one that it extends, which is used up. Raises CannotMerge."""
    services = MERGE_RULES.below("services")
    rules = services.below(name) if services is not None else None
    merged: dict[str, Any] = _merge(base, service, rules, ("services", name))
    return merged


def _merge(old: Any, new: Any, rules: Branch[Merge] | None, path: Path) -> Any:
    if rules is not None and rules.rule is not None:
        return rules.rule(old, new, rules, path)
    if new is None:
        return old
    if isinstance(old, dict):
        if not isinstance(new, dict):
            raise CannotMerge(path)
        return _merge_maps(old, new, rules, path)
    if isinstance(old, list):
        if not isinstance(new, list):
            raise CannotMerge(path)
        return old + new
    return new


def _merge_maps(old: Any, new: Any, rules: Branch[Merge] | None, path: Path) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        raise CannotMerge(path)
    for key, value in new.items():
        if key in old:
            below = rules.below(key) if rules is not None else None
            old[key] = _merge(old[key], value, below, (*path, key))
        else:
            old[key] = value
    return old


def _replace(old: Any, new: Any, rules: Branch[Merge] | None, path: Path) -> Any:
    return new


def is_replaced(rules: Branch[Merge]) -> bool:
    """Whether a value is replaced by a later one as a whole."""
    return rules.rule is _replace


def _sequence(old: Any, new: Any, rules: Branch[Merge] | None, path: Path) -> Any:
    return as_sequence(old) + as_sequence(new)


def as_sequence(value: Any) -> list[Any]:
    """A map of options as sorted `key=value` entries; a string as a list of one."""
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return [value]
    entries: list[str] = []
    for key, entry in value.items() if isinstance(value, dict) else ():
        if entry is None:
            entries.append(key)
        elif isinstance(entry, list):
            entries += [f"{key}={go_text(each)}" for each in entry]
        else:
            entries.append(f"{key}={go_text(entry)}")
    return sorted(entries, key=str.encode)


def _hosts(old: Any, new: Any, rules: Branch[Merge] | None, path: Path) -> Any:
    before = as_sequence(old)
    return before + [entry for entry in as_sequence(new) if entry not in before]


def _keyed(default: dict[str, Any] | None) -> Merge:
    """Merge as maps what may also be written as a list of names, each standing for `default`."""

    def as_map(value: Any, path: Path) -> dict[str, Any]:
        if isinstance(value, list):
            if not all(isinstance(name, str) for name in value):
                raise CannotMerge(path)
            return {name: dict(default) if default is not None else None for name in value}
        return value if isinstance(value, dict) else {}

    def rule(old: Any, new: Any, rules: Branch[Merge] | None, path: Path) -> Any:
        return _merge_maps(as_map(old, path), as_map(new, path), rules, path)

    return rule


def _build(old: Any, new: Any, rules: Branch[Merge] | None, path: Path) -> Any:
    def as_map(value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            return {"context": value}
        return value if isinstance(value, dict) else {}

    return _merge_maps(as_map(old), as_map(new), rules, path)


def _logging(old: Any, new: Any, rules: Branch[Merge] | None, path: Path) -> Any:
    """Options of two different drivers do not mix."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        raise CannotMerge(path)
    if "driver" in old and "driver" in new and old["driver"] != new["driver"]:
        return new
    return _merge_maps(old, new, rules, path)


def _pools(old: Any, new: Any, rules: Branch[Merge] | None, path: Path) -> Any:
    """Address pools are merged by subnet."""
    if not (_are_maps(old) and _are_maps(new)):
        raise CannotMerge(path)
    pools: list[dict[str, Any]] = []
    for before in old:
        for after in new:
            if after.get("subnet") != before.get("subnet") and not any(
                pool.get("subnet") == after.get("subnet") for pool in pools
            ):
                pools.append(after)
                continue
            merged = _merge_maps(before, after, rules, path)
            for index, pool in enumerate(pools):
                if pool.get("subnet") == merged.get("subnet"):
                    pools[index] = merged
                    break
            else:
                pools.append(merged)
    return pools


def _are_maps(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


_DEPENDENCY = {"condition": "service_started", "required": True}
_SERVICE_RULES: dict[str, Merge] = {
    "annotations": _sequence,
    "build": _build,
    "build.args": _sequence,
    "build.additional_contexts": _sequence,
    "build.extra_hosts": _hosts,
    "build.labels": _sequence,
    "command": _replace,
    "depends_on": _keyed(_DEPENDENCY),
    "deploy.labels": _sequence,
    "dns": _sequence,
    "dns_opt": _sequence,
    "dns_search": _sequence,
    "entrypoint": _replace,
    "env_file": _sequence,
    "label_file": _sequence,
    "environment": _sequence,
    "extra_hosts": _hosts,
    "healthcheck.test": _replace,
    "labels": _sequence,
    "volumes.*.volume.labels": _sequence,
    "logging": _logging,
    "models": _keyed(None),
    "networks": _keyed(None),
    "sysctls": _sequence,
    "tmpfs": _sequence,
    "ulimits.*": _replace,
}
MERGE_RULES: Branch[Merge] = table(
    {f"services.*.{path}": rule for path, rule in _SERVICE_RULES.items()}
    | {
        "networks.*.ipam.config": _pools,
        "networks.*.labels": _sequence,
        "volumes.*.labels": _sequence,
    }
)


Fault: TypeAlias = tuple[Path, str]
Identity: TypeAlias = Callable[[Any], Any]


def enforce_unicity(tree: dict[str, Any]) -> list[Fault]:
    """Keep only the last of the entries of a list that stand for the same thing, in place.

    Returns the entries that could not be read.
    """
    faults: list[Fault] = []
    apply(tree, UNIQUE_RULES, (), faults)
    return faults


def _unique(identity: Identity) -> Callable[[Any, Branch[Any], Path, list[Fault]], Any]:
    def rule(value: Any, branch: Branch[Any], path: Path, faults: list[Fault]) -> Any:
        if not isinstance(value, list):
            return value
        places: dict[Any, int] = {}
        kept: list[Any] = []
        for index, entry in enumerate(value):
            try:
                key = identity(entry)
            except ValueError as error:
                faults.append(((*path, index), str(error)))
                continue
            place = places.setdefault(key, len(kept))
            kept[place : place + 1] = [entry]
        return kept

    return rule


def _name(entry: Any) -> Any:
    if not isinstance(entry, str):
        raise ValueError("must be a string")
    return entry.partition("=")[0]


def _mount_target(entry: Any) -> Any:
    if isinstance(entry, dict):
        if not isinstance(entry.get("target"), str):
            raise ValueError("service volume is missing a mount target")
        return entry["target"]
    return parse_volume(entry).get("target") if isinstance(entry, str) else ""


def _device_target(entry: Any) -> Any:
    if isinstance(entry, dict):
        if not isinstance(entry.get("target"), str):
            raise ValueError("service device is missing a mount target")
        return entry["target"]
    parts = entry.split(":") if isinstance(entry, str) else [""]
    return parts[0] if len(parts) == 1 else parts[1]


def _exposed(entry: Any) -> Any:
    if is_int(entry) or isinstance(entry, str):
        return str(entry)
    raise ValueError("unsupported expose value")


def _file_target(folder: str) -> Identity:
    def identity(entry: Any) -> Any:
        if isinstance(entry, str):
            return f"{folder}/{entry}"
        if not isinstance(entry, dict):
            raise ValueError("must be a string or a mapping")
        if "target" in entry:
            if not isinstance(entry["target"], str):
                raise ValueError("target must be a string")
            return entry["target"]
        return f"{folder}/{entry.get('source')}"

    return identity


def _port(entry: Any) -> Any:
    if isinstance(entry, dict):
        if "target" not in entry:
            raise ValueError("service ports is missing a target port")
        parts = [entry["target"], entry.get("published"), entry.get("host_ip", "0.0.0.0")]
        parts.append(entry.get("protocol", "tcp"))
        return tuple((type(part).__name__, str(part)) for part in parts)
    return str(entry) if is_int(entry) or isinstance(entry, str) else ""


def _env_file(entry: Any) -> Any:
    if isinstance(entry, dict):
        if not isinstance(entry.get("path"), str):
            raise ValueError("environment path attribute is missing")
        return entry["path"]
    return entry if isinstance(entry, str) else ""


_UNIQUE: dict[str, Identity] = {
    "annotations": _name,
    "build.args": _name,
    "build.additional_contexts": _name,
    "build.platform": _name,
    "build.tags": _name,
    "build.labels": _name,
    "cap_add": _name,
    "cap_drop": _name,
    "devices": _device_target,
    "configs": _file_target(""),
    "deploy.labels": _name,
    "dns": _name,
    "dns_opt": _name,
    "dns_search": _name,
    "environment": _name,
    "env_file": _env_file,
    "expose": _exposed,
    "labels": _name,
    "links": _name,
    "networks.*.aliases": _name,
    "networks.*.link_local_ips": _name,
    "ports": _port,
    "profiles": _name,
    "secrets": _file_target("/run/secrets"),
    "sysctls": _name,
    "tmpfs": _name,
    "volumes": _mount_target,
}
UNIQUE_RULES = table(
    {f"services.*.{path}": _unique(identity) for path, identity in _UNIQUE.items()}
    | {"networks.*.labels": _unique(_name), "networks.*.ipam.options": _unique(_name)}
)
