"""What tells the entries of a list apart; attributes name it with `Unique`.

Each takes an entry, and raises ValueError for what it cannot be.
Source: compose-go, override/uncity.go.
"""

from __future__ import annotations

from typing import Any

from stackr.spec.attribute import Identity
from stackr.spec.short import parse_volume
from stackr.spec.units import is_int


def name(entry: Any) -> Any:
    if not isinstance(entry, str):
        raise ValueError("must be a string")
    return entry.partition("=")[0]


def mount_target(entry: Any) -> Any:
    if isinstance(entry, dict):
        if not isinstance(entry.get("target"), str):
            raise ValueError("service volume is missing a mount target")
        return entry["target"]
    return parse_volume(entry).get("target") if isinstance(entry, str) else ""


def device_target(entry: Any) -> Any:
    if isinstance(entry, dict):
        if not isinstance(entry.get("target"), str):
            raise ValueError("service device is missing a mount target")
        return entry["target"]
    parts = entry.split(":") if isinstance(entry, str) else [""]
    return parts[0] if len(parts) == 1 else parts[1]


def exposed(entry: Any) -> Any:
    if is_int(entry) or isinstance(entry, str):
        return str(entry)
    raise ValueError("unsupported expose value")


def granted_at(folder: str) -> Identity:
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


def port(entry: Any) -> Any:
    if isinstance(entry, dict):
        if "target" not in entry:
            raise ValueError("service ports is missing a target port")
        parts = [entry["target"], entry.get("published"), entry.get("host_ip", "0.0.0.0")]
        parts.append(entry.get("protocol", "tcp"))
        return tuple((type(part).__name__, str(part)) for part in parts)
    return str(entry) if is_int(entry) or isinstance(entry, str) else ""


def env_file(entry: Any) -> Any:
    if isinstance(entry, dict):
        if not isinstance(entry.get("path"), str):
            raise ValueError("environment path attribute is missing")
        return entry["path"]
    return entry if isinstance(entry, str) else ""
