"""The engine's options, as its configuration file and its flags name them: dockerd's names.

One declaration an option; a file and the flags are each read into one `EngineOptions`. Whatever
dockerd has and this engine has not is refused by name, unless it asks for what it does in any case.
Source: dockerd reference, "Daemon configuration file".
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from stackr.errors import InvalidArgument, NotSupported, StackrError
from stackr.runtime.engine.dockerd_options import unsupported, without_settled
from stackr.runtime.engine.hosts import Host, parse_host
from stackr.runtime.engine.option_values import (
    Address,
    Addresses,
    ApiVersion,
    BridgeV4,
    BridgeV6,
    Builder,
    File,
    Files,
    Labels,
    Limits,
    Listening,
    Mirrors,
    Options,
    Pools,
    Proxies,
    RangeV4,
    RangeV6,
    Size,
    Words,
)
from stackr.runtime.engine.version import MIN_API_VERSION, version_text

__all__ = ["FILE", "RELOADED", "EngineOptions", "merged", "options_of", "read_file"]

FILE = Path("/etc/stackr/engine.json")

_LEAST_MTU, _MOST_MTU = 68, 65535

Driver = Literal["bridge", "macvlan", "ipvlan"]
Level = Literal["debug", "info", "warn", "error", "fatal"]


class EngineOptions(Options):
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
    min_api_version: ApiVersion = version_text(MIN_API_VERSION)
    pidfile: str = ""
    insecure_registries: Words = ()
    registry_mirrors: Mirrors = ()
    max_concurrent_downloads: int = Field(4, ge=1, le=100)
    max_concurrent_uploads: int = Field(5, ge=1, le=100)
    max_download_attempts: int = Field(5, ge=1, le=100)
    proxies: Proxies = Proxies()
    builder: Builder = Builder()
    default_address_pools: Pools = ()
    default_network_opts: dict[Driver, dict[str, str]] = Field(default_factory=dict)
    bip: BridgeV4 = ""
    fixed_cidr: RangeV4 = ""
    ipv6: bool = False
    bip6: BridgeV6 = ""
    fixed_cidr_v6: RangeV6 = ""
    mtu: int = Field(1500, ge=_LEAST_MTU, le=_MOST_MTU)
    icc: bool = True
    ip_masq: bool = True
    ip: Address = ""
    host_gateway_ip: Address = ""
    host_gateway_ips: Addresses = ()
    dns: Addresses = ()
    dns_opts: Words = ()
    dns_search: Words = ()
    log_driver: str = "json-file"
    log_opts: dict[str, str] = Field(default_factory=dict)
    default_runtime: Literal["", "crun", "runc"] = ""
    default_ulimits: Limits = Field(default_factory=dict)
    default_shm_size: Size = 64 << 20
    default_stop_timeout: int = Field(10, ge=0)
    default_ipc_mode: Literal["private", "shareable"] = "private"
    default_cgroupns_mode: Literal["", "private", "host"] = ""
    cgroup_parent: str = ""
    init: bool = False
    init_path: File = ""
    no_new_privileges: bool = False
    seccomp_profile: str = "builtin"
    cdi_spec_dirs: Files = ("/etc/cdi", "/var/run/cdi")
    labels: Labels = ()
    live_restore: bool = True
    shutdown_timeout: int = Field(15, ge=-1)
    debug: bool = False
    log_level: Level = "info"
    log_format: Literal["text", "json"] = "text"
    metrics_addr: Listening = ""

    @model_validator(mode="after")
    def _bridge_fits(self) -> EngineOptions:
        """The addresses of the network `bridge`, and what needs IPv6 there."""
        for key, own, part in (
            ("fixed-cidr", self.bip, self.fixed_cidr),
            ("fixed-cidr-v6", self.bip6, self.fixed_cidr_v6),
        ):
            if own and part and not _is_within(part, own):
                raise ValueError(f"{key}: {part} is not within {ip_interface(own).network}")
        if not self.ipv6 and (self.bip6 or self.fixed_cidr_v6):
            raise ValueError('bip6, fixed-cidr-v6: the network bridge has IPv6 with "ipv6": true')
        if self.host_gateway_ip and self.host_gateway_ips:  # dockerd's words
            raise ValueError(
                "host-gateway-ip and host-gateway-ips must not both be specified in the config file"
            )
        return self

    @property
    def least_version(self) -> tuple[int, int]:
        """Of the API."""
        major, _, minor = self.min_api_version.partition(".")
        return int(major), int(minor)

    def network_opts(self, driver: str) -> Mapping[str, str]:
        """Of a network of this driver that does not say them."""
        found = (opts for name, opts in self.default_network_opts.items() if name == driver)
        return next(found, {})

    @property
    def host_gateways(self) -> tuple[str, ...]:
        """Who `host-gateway` is; none for the gateways of the network `bridge`."""
        return tuple(filter(None, (self.host_gateway_ip, *self.host_gateway_ips)))

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
    *("debug", "default_cgroupns_mode", "default_ipc_mode", "default_shm_size"),
    *("default_stop_timeout", "insecure_registries", "labels", "live_restore", "log_level"),
    *("max_concurrent_downloads", "max_concurrent_uploads", "max_download_attempts"),
    *("registry_mirrors", "shutdown_timeout"),
)
"""What SIGHUP reads anew, as dockerd's does; the rest needs another start."""


def _is_within(part: str, whole: str) -> bool:
    inner, outer = ip_network(part), ip_interface(whole).network
    return inner[0] in outer and inner[-1] in outer


def options_of(values: Mapping[str, Any], source: str) -> EngineOptions:
    """Of dockerd's names and values. source: a file, or "flags", which errors begin with.

    Raises InvalidArgument for a value or a key that is none, NotSupported for dockerd's others.
    """
    given = without_settled(values)
    for key in given:
        why = unsupported(key, given[key])
        if why:
            raise NotSupported(f"{source}: {key}: not supported by the embedded engine: {why}")
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


def _explained(error: ValidationError, source: str) -> InvalidArgument:
    """The first problem; the others show once it is mended."""
    first = error.errors(include_url=False)[0]
    place = [str(part) for part in first["loc"]]
    key = ".".join(place)
    if not place:  # what several keys say together
        return InvalidArgument(f"{source}: {str(first['msg']).removeprefix('Value error, ')}")
    if first["type"] == "extra_forbidden":
        return InvalidArgument(f"{source}: {key}: unknown option", hint=_nearest(place))
    words = str(first["msg"]).removeprefix("Value error, ").replace("valid tuple", "list")
    words = words.replace("valid dictionary", "object")
    return InvalidArgument(f"{source}: {key}: {words[:1].lower()}{words[1:]}")


def _nearest(place: list[str]) -> str | None:
    fields = EngineOptions.model_fields if len(place) == 1 else ()
    known = [name.replace("_", "-") for name in fields]
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
