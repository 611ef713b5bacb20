"""The only parsers of short forms: "8080:80/udp", "data:/var:ro", "/dev/x:/dev/y:r", "h=1.2.3.4".

Each returns the long form with the specification's keys, and raises ValueError for text that is
none. The command line uses them too.
Source: compose-go, format/volume.go and transform/; docker/go-connections, nat.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from typing import Any

_SEPARATORS = re.compile(r"\$\{|[}:]")
_PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_CONSISTENCIES = ("consistent", "cached", "delegated")
"""Of Docker Desktop's file sharing on a Mac; they mean nothing on Linux, for Docker neither."""
_MAX_PORT = 65535
PORT_PROTOCOLS = ("tcp", "udp", "sctp")


def parse_port(text: str, *, most: int = _MAX_PORT) -> list[dict[str, Any]]:
    """One entry for each container port of "[[host_ip:][published]:]target[/protocol]".

    most: more ports than that are refused. Source: docker/go-connections, nat/nat.go.
    """
    host_ip, published, target = _split_port(text)
    target, _, protocol = target.partition("/")
    protocol = (protocol or "tcp").lower() if target else ""
    if protocol not in PORT_PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    host_ip = _host_ip(host_ip)
    low, high = _port_range(target, "containerPort")
    host_low, host_high = _port_range(published, "hostPort") if published else (0, 0)
    if published and high - low != host_high - host_low and high != low:
        raise ValueError(
            f"invalid ranges specified for container and host Ports: {target} and {published}"
        )
    if high - low >= most:
        raise ValueError(f"too many ports: {text}")
    ports = []
    for offset in range(high - low + 1):
        host = str(host_low + offset) if published else ""
        if published and high == low and host_low != host_high:
            host += f"-{host_high}"
        ports.append(_port(host_ip, host, low + offset, protocol))
    return sorted(ports, key=lambda port: f"{port.get('target', 0)}/{protocol}")


def _split_port(text: str) -> tuple[str, str, str]:
    parts = text.split(":")
    if len(parts) < 3:
        return "", parts[0] if len(parts) == 2 else "", parts[-1]
    return ":".join(parts[:-2]), parts[-2], parts[-1]


def _port(host_ip: str, published: str, target: int, protocol: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"mode": "ingress", "protocol": protocol}
    if target:
        entry["target"] = target
    if published:
        entry["published"] = published
    if host_ip:
        entry["host_ip"] = host_ip
    return entry


def _host_ip(text: str) -> str:
    if text.startswith("["):
        if not text.endswith("]") or "[" in text[1:] or "]" in text[1:-1]:
            raise ValueError(f"invalid IP address {text}")
        text = text[1:-1]
    if text and not is_ip(text):
        raise ValueError(f"invalid IP address: {text}")
    return text


def is_ip(text: str) -> bool:
    """Whether Go's net.ParseIP takes the text: no zone, no leading zeros."""
    if "%" in text:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _port_range(text: str, what: str) -> tuple[int, int]:
    if what == "containerPort" and not text:
        raise ValueError("no port specified: <empty>")
    low, dash, rest = text.partition("-")
    high = rest.split("-")[0] if dash else low
    try:
        first, last = _port_number(low), _port_number(high)
    except ValueError:
        raise ValueError(f"invalid {what}: {text}") from None
    if last < first:
        raise ValueError(f"invalid {what}: {text}")
    return first, last


def _port_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > _MAX_PORT:
        raise ValueError(text)
    return int(text)


def parse_volume(text: str, *, any_option: bool = False) -> dict[str, Any]:
    """The mount of "[source:]target[:options]"; `${...}` may stand for any part.

    any_option: an unknown one is passed over, for an engine to refuse.
    Source: compose-go, format/volume.go.
    """
    if not text:
        raise ValueError("invalid empty volume spec")
    if len(text) <= 2:
        return {"type": "volume", "target": text}
    try:
        fields, options = _volume_fields(_split_volume(text))
        for option in options:
            if not _volume_option(fields, option) and not any_option:
                raise ValueError(f'unknown option "{option}"')
        return _typed_volume(fields)
    except ValueError as error:
        raise ValueError(f"invalid spec: {text}: {error}") from None


def _split_volume(text: str) -> list[str]:
    """Split at colons, but those in `${...}` and after a Windows drive's letter."""
    parts: list[str] = []
    depth = start = 0
    for found in _SEPARATORS.finditer(text):
        index, char = found.start(), found.group()
        if char == "${":
            depth += 1
        elif char == "}":
            depth = max(depth - 1, 0)
        elif not depth and not (index - start == 1 and text[start].isalpha()):
            parts.append(text[start:index])
            start = index + 1
    return parts if depth else [*parts, text[start:]]


def _volume_fields(parts: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Source and target, and the options."""
    if not all(parts):
        raise ValueError("empty section between colons")
    if len(parts) > 3:
        raise ValueError("too many colons")
    if len(parts) == 1:
        return {"target": parts[0]}, []
    volume: dict[str, Any] = {"source": parts[0]} if parts else {}
    if len(parts) > 1:
        volume["target"] = parts[1]
    return volume, parts[2].split(",") if len(parts) == 3 else []


def _volume_option(volume: dict[str, Any], option: str) -> bool:
    """Whether it is known."""
    if option == "ro":
        volume["read_only"] = True
    elif option == "rw":
        volume.pop("read_only", None)
    elif option == "nocopy":
        volume["volume"] = {"nocopy": True}
    elif option in _PROPAGATIONS:
        volume.setdefault("bind", {})["propagation"] = option
    elif option in ("z", "Z"):
        volume.setdefault("bind", {})["selinux"] = option
    else:
        return option in _CONSISTENCIES or "$" in option
    return True


def _typed_volume(volume: dict[str, Any]) -> dict[str, Any]:
    if is_file_path(volume.get("source", "")):
        volume["type"] = "bind"
        volume.setdefault("bind", {})["create_host_path"] = True
    else:
        volume["type"] = "volume"
        volume.setdefault("volume", {})
    return volume


def is_file_path(source: str) -> bool:
    """Whether a mount's source is a path, of Linux or Windows, and not a volume's name."""
    if source.startswith((".", "/", "~", "\\\\")):
        return True
    return source[:1].isalpha() and source[1:2] == ":"


def clean_path(path: str) -> str:
    """A path without `.`, `..` and doubled slashes, as Go's path.Clean has it."""
    cleaned = posixpath.normpath(path) if path else "."
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned


def parse_device(text: str) -> dict[str, Any]:
    """The device of "source[:target[:permissions]]"."""
    parts = text.split(":")
    if len(parts) > 3:
        raise ValueError(f"confusing device mapping, please use long syntax: {text}")
    source, target, permissions = (*parts, *("", "", "rwm")[len(parts) :])
    return {"source": source, "target": target or source, "permissions": permissions}


def parse_host(text: str) -> tuple[str, list[str]]:
    """The name and the addresses of "host=ip[,ip]" or "host:ip"."""
    separator = "=" if "=" in text else ":"
    host, found, addresses = text.partition(separator)
    if not found:
        raise ValueError(f"invalid additional host, missing IP: {text}")
    return host, addresses.split(",")
