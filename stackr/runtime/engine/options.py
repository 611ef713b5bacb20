"""The engine's options, as its configuration file and its flags name them: dockerd's names.

One declaration an option; a file and the flags are each read into one `EngineOptions`. Whatever
dockerd has and this engine has not is refused by name, unless it asks for what it does in any case.
Source: dockerd reference, "Daemon configuration file".
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from stackr.errors import InvalidArgument, NotSupported, StackrError
from stackr.runtime.engine.hosts import Host, parse_host

__all__ = ["FILE", "RELOADED", "EngineOptions", "merged", "options_of", "read_file"]

FILE = Path("/etc/stackr/engine.json")

_MIRROR = re.compile(r"https?://[^/\s?#@]+/?")
_SIZE = re.compile(r"([0-9]{1,12})([bkmg]?)b?")
_SHIFTS = {"b": 0, "k": 10, "m": 20, "g": 30}
_LABEL = re.compile(r"[^=\s]+=.*")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\s]*):[0-9]{1,5}")
_LEAST_MTU, _MOST_MTU = 68, 65535
_MOST_PORT = 65535


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _each(pattern: re.Pattern[str], what: str) -> Any:
    def check(values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not pattern.fullmatch(value):
                raise ValueError(f'"{value}" is not {what}')
        return values

    return AfterValidator(check)


def _addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        ip_address(value)
    return values


def _listening(value: str) -> str:
    if not _ADDRESS.fullmatch(value) or int(value.rpartition(":")[2]) > _MOST_PORT:
        raise ValueError(f'"{value}" is not ADDRESS:PORT')
    return value


def _bridge_address(value: str) -> str:
    if IPv4Interface(value).network.prefixlen > 30 or "/" not in value:
        raise ValueError(f'"{value}" is not an address and a prefix such as 10.1.0.1/24')
    return value


class _Options(BaseModel):
    model_config = ConfigDict(alias_generator=_kebab, extra="forbid", frozen=True, strict=True)


class Pool(_Options):
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


def _bytes(value: int | str) -> int:
    """As the docker CLI takes sizes: 67108864, "64m", "1g"."""
    match = _SIZE.fullmatch(str(value).strip().lower())
    if match is None:
        raise ValueError(f'"{value}" is not a size such as 64m')
    return int(match[1]) << _SHIFTS[match[2] or "b"]


def _limits(values: dict[str, Ulimit]) -> dict[str, Ulimit]:
    for name, limit in values.items():
        if limit.name not in ("", name):
            raise ValueError(f'"{name}" has the name "{limit.name}"')
    return values


Words = Annotated[tuple[str, ...], Field(strict=False)]
Level = Literal["debug", "info", "warn", "error", "fatal"]


class EngineOptions(_Options):
    """What is not given has its default; `model_fields_set` tells what is given."""

    data_root: str = ""
    exec_root: str = ""
    hosts: Words = ()
    group: str = ""
    tls: bool = False
    tlsverify: bool = False
    tlscacert: str = "/etc/stackr/ca.pem"
    tlscert: str = "/etc/stackr/cert.pem"
    tlskey: str = "/etc/stackr/key.pem"
    allow_unauthenticated_tcp: bool = False
    pidfile: str = ""
    insecure_registries: Words = ()
    registry_mirrors: Annotated[Words, _each(_MIRROR, "http(s)://HOST[:PORT]")] = ()
    max_concurrent_downloads: int = Field(4, ge=1, le=100)
    max_concurrent_uploads: int = Field(5, ge=1, le=100)
    default_address_pools: Annotated[
        tuple[Pool, ...], Field(strict=False), AfterValidator(_pools)
    ] = ()
    bip: Annotated[str, AfterValidator(_bridge_address)] = ""
    mtu: int = Field(1500, ge=_LEAST_MTU, le=_MOST_MTU)
    dns: Annotated[Words, AfterValidator(_addresses)] = ()
    dns_opts: Words = ()
    dns_search: Words = ()
    log_driver: str = "json-file"
    log_opts: dict[str, str] = {}
    default_ulimits: Annotated[dict[str, Ulimit], AfterValidator(_limits)] = {}
    default_shm_size: Annotated[int | str, AfterValidator(_bytes)] = 64 << 20
    init: bool = False
    no_new_privileges: bool = False
    labels: Annotated[Words, _each(_LABEL, "KEY=VALUE")] = ()
    live_restore: bool = True
    shutdown_timeout: int = Field(15, ge=-1)
    debug: bool = False
    log_level: Level = "info"
    log_format: Literal["text", "json"] = "text"
    metrics_addr: Annotated[str, AfterValidator(_listening)] = ""

    @property
    def shm_bytes(self) -> int:
        return int(self.default_shm_size)

    @property
    def has_tls(self) -> bool:
        return self.tls or self.tlsverify

    def listening(self) -> list[Host]:
        """Raises InvalidArgument for one that is no address."""
        return [parse_host(text, tls=self.has_tls) for text in self.hosts]


RELOADED = (
    *("debug", "insecure_registries", "labels", "live_restore", "log_level"),
    *("max_concurrent_downloads", "max_concurrent_uploads", "registry_mirrors"),
    "shutdown_timeout",
)
"""What SIGHUP reads anew, as dockerd's does; the rest needs another start."""

_SO_ANYWAY: Mapping[str, tuple[object, str]] = {
    "cgroup-parent": ("", "containers have a group of the engine's own, or the one they name"),
    "containerd": ("", "there is none"),
    "default-runtime": ("", "crun or runc is chosen by what the host has"),
    "experimental": (False, "there is nothing that is only then on"),
    "icc": (True, "containers of a network reach each other"),
    "ip-forward": (True, "networks need it"),
    "ip-masq": (True, "networks need it; a network's own option turns it off"),
    "iptables": (True, "networks need the firewall, by nftables"),
    "ip6tables": (True, "networks need the firewall, by nftables"),
    "ipv6": (False, "the network bridge has IPv4; a network of your own may have both"),
    "max-download-attempts": (5, "five in a row that bring nothing end a pull"),
    "raw-logs": (False, "there are no colours in logs"),
    "selinux-enabled": (False, "labels are not set"),
    "storage-driver": ("overlay2", "layers are kept by overlayfs alone"),
    "userland-proxy": (True, "a relay answers where the firewall cannot"),
    "userns-remap": ("", "containers are in the host's user namespace"),
}
"""Of dockerd's options: the one value that this engine has, and why there is no other."""

_ABSENT = frozenset(
    {"allow-nondistributable-artifacts", "api-cors-header", "authorization-plugins", "bridge"}
    | {"cdi-spec-dirs", "cluster-advertise", "cluster-store", "cluster-store-opts", "exec-opts"}
    | {"containerd-namespace", "containerd-plugin-namespace", "cpu-rt-period", "cpu-rt-runtime"}
    | {"default-gateway", "default-gateway-v6", "default-network-opts", "features", "fixed-cidr"}
    | {"fixed-cidr-v6", "host-gateway-ip", "http-proxy", "https-proxy", "init-path", "log-path"}
    | {"network-control-plane-mtu", "network-diagnostic-port", "no-proxy", "node-generic-resources"}
    | {"oom-score-adjust", "proxies", "rootless", "runtimes", "seccomp-profile", "storage-opts"}
    | {"swarm-default-advertise-addr", "userland-proxy-path", "validate"}
)


def options_of(values: Mapping[str, Any], source: str) -> EngineOptions:
    """Of dockerd's names and values. source: a file, or "flags", which errors begin with.

    Raises InvalidArgument for a value or a key that is none, NotSupported for dockerd's others.
    """
    given = {key: value for key, value in values.items() if not _is_so_anyway(key, value)}
    for key in given:
        if key in _SO_ANYWAY or key in _ABSENT:
            why = f": {_SO_ANYWAY[key][1]}" if key in _SO_ANYWAY else ""
            raise NotSupported(f"{source}: {key}: not supported by the embedded engine{why}")
    try:
        options = EngineOptions.model_validate(given)
        options.listening()
    except ValidationError as error:
        raise _explained(error, source) from error
    except StackrError as error:
        raise InvalidArgument(
            f"{source}: hosts: {error.message.removeprefix('host ')}", hint=error.hint
        ) from error
    return options


def _is_so_anyway(key: str, value: object) -> bool:
    return key in _SO_ANYWAY and _SO_ANYWAY[key][0] == value


def _explained(error: ValidationError, source: str) -> InvalidArgument:
    """The first problem; the others show once it is mended."""
    first = error.errors(include_url=False)[0]
    place = [str(part) for part in first["loc"]]
    key = ".".join(place)
    if first["type"] == "extra_forbidden":
        return InvalidArgument(f"{source}: {key}: unknown option", hint=_nearest(place))
    words = str(first["msg"]).removeprefix("Value error, ").replace("valid tuple", "list")
    words = words.replace("valid dictionary", "object")
    return InvalidArgument(f"{source}: {key}: {words[:1].lower()}{words[1:]}")


def _nearest(place: list[str]) -> str | None:
    known = [*map(_kebab, EngineOptions.model_fields)] if len(place) == 1 else []
    close = difflib.get_close_matches(place[-1].replace("_", "-"), known, n=1)
    return f'did you mean "{close[0]}"?' if close else None


def merged(file: Path | None, flags: Mapping[str, Any]) -> EngineOptions:
    """What a file (None for none) and the flags say together.

    Raises InvalidArgument for an option that both have, as dockerd does, and as `options_of`.
    """
    found = read_file(file) if file is not None else {}
    options_of(flags, "flags")
    options_of(found, str(file))
    both = [
        f"{key}: (from flag: {flags[key]}, from file: {found[key]})"
        for key in flags
        if key in found
    ]
    if both:
        raise InvalidArgument(
            f"{file}: the following directives are specified both as a flag and in the"
            f" configuration file: {', '.join(both)}"
        )
    return options_of({**found, **flags}, str(file or "flags"))


def read_file(path: Path) -> dict[str, Any]:
    """The keys and values of a configuration file. Raises InvalidArgument, which names it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        values = json.loads(text or "{}", object_pairs_hook=_once_each)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidArgument(f"{path}: not JSON: {place}: {error.msg}") from error
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidArgument(f"{path}: cannot be read: {why}") from error
    if not isinstance(values, dict):
        raise InvalidArgument(f"{path}: not a JSON object")
    return values


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f'"{key}" is there twice')
        found[key] = value
    return found
