"""What values the engine's options have, beyond JSON's own kinds: each checked once, as it is read.

A value that is none is a ValueError, before which `options.py` puts the file and the key.
"""

from __future__ import annotations

import re
from ipaddress import (
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    IPv6Network,
    ip_address,
)
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from stackr.runtime.engine.version import API_VERSION, MIN_API_VERSION, version_text

__all__ = [
    "Address",
    "Addresses",
    "ApiVersion",
    "BridgeV4",
    "BridgeV6",
    "Builder",
    "File",
    "Files",
    "Labels",
    "Limits",
    "Listening",
    "Mirrors",
    "Options",
    "Pool",
    "Pools",
    "Proxies",
    "RangeV4",
    "RangeV6",
    "Size",
    "Words",
]

_MIRROR = re.compile(r"https?://[^/\s?#@]+/?")
_SIZE = re.compile(r"([0-9]{1,12})([bkmg]?)i?b?")
_SHIFTS = {"b": 0, "k": 10, "m": 20, "g": 30}
_LABEL = re.compile(r"[^=\s]+=.*")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\s]*):[0-9]{1,5}")
_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}")
_MOST_PORT = 65535


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class Options(BaseModel):
    """Keys with hyphens, as dockerd's; any other is refused."""

    model_config = ConfigDict(alias_generator=_kebab, extra="forbid", frozen=True, strict=True)


def _each(pattern: re.Pattern[str], what: str) -> Any:
    def check(values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not pattern.fullmatch(value):
                raise ValueError(f'"{value}" is not {what}')
        return values

    return AfterValidator(check)


def _address(value: str) -> str:
    return str(ip_address(value)) if value else ""


def _addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        ip_address(value)
    return values


def _listening(value: str) -> str:
    if not _ADDRESS.fullmatch(value) or int(value.rpartition(":")[2]) > _MOST_PORT:
        raise ValueError(f'"{value}" is not ADDRESS:PORT')
    return value


def _bridge_v4(value: str) -> str:
    if value and (IPv4Interface(value).network.prefixlen > 30 or "/" not in value):
        raise ValueError(f'"{value}" is not an address and a prefix such as 10.1.0.1/24')
    return value


def _bridge_v6(value: str) -> str:
    if value and (IPv6Interface(value).network.prefixlen > 126 or "/" not in value):
        raise ValueError(f'"{value}" is not an address and a prefix such as fd00:1::1/64')
    return value


def _range_v4(value: str) -> str:
    return str(IPv4Network(value, strict=False)) if value else ""


def _range_v6(value: str) -> str:
    return str(IPv6Network(value, strict=False)) if value else ""


def _absolute(value: str) -> str:
    if value and not Path(value).is_absolute():
        raise ValueError(f'"{value}" is not an absolute path')
    return value


def _absolutes(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        _absolute(value)
    return values


def _version(value: str) -> str:
    """With dockerd's words. Source: moby, daemon/config, ValidateMinAPIVersion."""
    if not _VERSION.fullmatch(value):
        raise ValueError(f'"{value}" is not an API version such as 1.44')
    major, _, minor = value.partition(".")
    if (int(major), int(minor)) < MIN_API_VERSION:
        least = version_text(MIN_API_VERSION)
        raise ValueError(f"minimum supported API version is {least}: {value}")
    if (int(major), int(minor)) > API_VERSION:
        raise ValueError(f"maximum supported API version is {version_text(API_VERSION)}: {value}")
    return value


def _bytes(value: int | str) -> int:
    """As the docker CLI takes sizes: 67108864, "64m", "1g"."""
    match = _SIZE.fullmatch(str(value).strip().lower())
    if match is None:
        raise ValueError(f'"{value}" is not a size such as 64m')
    return int(match[1]) << _SHIFTS[match[2] or "b"]


def _space(value: int | str) -> int:
    return _bytes(value) if value else 0


def _proxy(value: str) -> str:
    parts = urlsplit(value)
    if value and not (parts.scheme in ("http", "https") and parts.hostname):
        raise ValueError("not an address such as http://HOST:PORT")
    return value


class Pool(Options):
    """Networks of prefix length `size` are cut from `base`."""

    base: str
    size: int

    def network(self) -> IPv4Network | IPv6Network:
        return IPv6Network(self.base) if ":" in self.base else IPv4Network(self.base)


class Ulimit(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field("", alias="Name")
    soft: int = Field(-1, alias="Soft", ge=-1)
    hard: int = Field(-1, alias="Hard", ge=-1)


def _pools(values: tuple[Pool, ...]) -> tuple[Pool, ...]:
    for pool in values:
        base = pool.network()
        if not base.prefixlen <= pool.size <= base.max_prefixlen - 2:
            raise ValueError(f"{pool.base}: no networks of size {pool.size} fit into it")
    return values


def _limits(values: dict[str, Ulimit]) -> dict[str, Ulimit]:
    for name, limit in values.items():
        if limit.name not in ("", name):
            raise ValueError(f'"{name}" has the name "{limit.name}"')
    return values


_Space = Annotated[int | str, AfterValidator(_space)]


class Gc(BaseModel):
    """What builds leave: at most as much, the least recently used first.

    Source: moby, daemon/config/builder.go; the older name has the same meaning here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel)

    enabled: bool = True
    default_keep_storage: _Space = 0
    default_max_used_space: _Space = 0

    @property
    def limit_bytes(self) -> int | None:
        """0 for no limit, None where nothing is said."""
        if not self.enabled:
            return 0
        limits = [int(size) for size in (self.default_max_used_space, self.default_keep_storage)]
        return min(filter(None, limits), default=None)


class Builder(Options):
    gc: Gc = Gc()


class Proxies(Options):
    """By which registries are reached; each over the variable of the environment."""

    http_proxy: Annotated[str, AfterValidator(_proxy)] = ""
    https_proxy: Annotated[str, AfterValidator(_proxy)] = ""
    no_proxy: str = ""


Words = Annotated[tuple[str, ...], Field(strict=False)]
Address = Annotated[str, AfterValidator(_address)]
Addresses = Annotated[Words, AfterValidator(_addresses)]
ApiVersion = Annotated[str, AfterValidator(_version)]
BridgeV4 = Annotated[str, AfterValidator(_bridge_v4)]
BridgeV6 = Annotated[str, AfterValidator(_bridge_v6)]
RangeV4 = Annotated[str, AfterValidator(_range_v4)]
RangeV6 = Annotated[str, AfterValidator(_range_v6)]
File = Annotated[str, AfterValidator(_absolute)]
Files = Annotated[Words, AfterValidator(_absolutes)]
Labels = Annotated[Words, _each(_LABEL, "KEY=VALUE")]
Mirrors = Annotated[Words, _each(_MIRROR, "http(s)://HOST[:PORT]")]
Listening = Annotated[str, AfterValidator(_listening)]
Limits = Annotated[dict[str, Ulimit], AfterValidator(_limits)]
Pools = Annotated[tuple[Pool, ...], Field(strict=False), AfterValidator(_pools)]
Size = Annotated[int | str, AfterValidator(_bytes)]
