"""What a container's `LogConfig` asks for: driver, rotation, and what each entry is marked with.

Pure. Source: Docker's "Configure logging drivers", "JSON File logging driver", "Customize log
driver output"; moby's texts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from stackr.errors import InvalidArgument
from stackr.patterns import compile_pattern
from stackr.runtime.engine.container.io.deliveries import (
    Address,
    Message,
    Origin,
    facility,
    fluentd,
    gelf,
    journal,
    parse_address,
    syslog,
)
from stackr.runtime.engine.container.settings.spec import Config, LogConfig
from stackr.text import whole_number

__all__ = [
    "JSON_FILE",
    "LOCAL",
    "NONE",
    "LogTarget",
    "Rotation",
    "attributes",
    "buffer_bytes",
    "destination",
    "driver",
    "is_cached",
    "rotation",
    "tag_of",
]

_MOST_FILES: Final = 10_000
JSON_FILE: Final = "json-file"
LOCAL: Final = "local"
NONE: Final = "none"

_ROTATION: Final = ("max-size", "max-file", "compress")
_MARKS: Final = ("labels", "labels-regex", "env", "env-regex", "tag")
_DELIVERY: Final = ("mode", "max-buffer-size")
_CACHE: Final = ("cache-disabled", "cache-max-size", "cache-max-file", "cache-compress")
_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    JSON_FILE: (*_ROTATION, *_MARKS, *_DELIVERY),
    LOCAL: (*_ROTATION, *_DELIVERY),
    NONE: (),
    "syslog": (*_MARKS, *_DELIVERY, *_CACHE, "syslog-address", "syslog-facility", "syslog-format"),
    "gelf": (*_MARKS, *_DELIVERY, *_CACHE, "gelf-address", "gelf-compression-type"),
    "fluentd": (*_MARKS, *_DELIVERY, *_CACHE, "fluentd-address", "fluentd-async"),
    "journald": (*_MARKS, *_DELIVERY, *_CACHE),
}
_JOURNAL: Final = "/run/systemd/journal/socket"
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE: Final = re.compile(r"(\d{1,18}(?:\.\d{1,9})?) ?([kmgt]?)(?:i?b)?", re.ASCII | re.IGNORECASE)
_FIELD: Final = re.compile(r"\{\{\s*(.*?)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Rotation:
    """max_bytes: of one file, 0 for no limit. files: how many, the current one included."""

    max_bytes: int = 0
    files: int = 1
    is_compressed: bool = False


@dataclass(frozen=True, slots=True)
class LogTarget:
    """Of whom a log is, for its tag. image: as the caller named it."""

    id: str
    name: str
    image: str
    image_id: str


def driver(config: LogConfig) -> str:
    return config.type or JSON_FILE


def rotation(config: LogConfig) -> Rotation:
    """Raises InvalidArgument, with Docker's texts, for what is unknown, malformed, or of no use."""
    kind, given = driver(config), config.config
    if kind not in _OPTIONS:
        raise InvalidArgument(
            f'error looking up logging plugin {kind}: plugin "{kind}" not found',
            hint=f"the embedded engine has {', '.join(_OPTIONS)}",
        )
    for key in given:
        if key not in _OPTIONS[kind]:
            raise InvalidArgument(f"unknown log opt '{key}' for {kind} log driver")
    _check_delivery(given)
    for key in ("labels-regex", "env-regex"):
        _pattern(key, given)
    if "tag" in given:
        _tag(given["tag"], LogTarget("", "", "", ""))
    if kind in _DESTINATIONS:
        destination(config)
        return _cache(given)
    size, files = _size("max-size", given), _count("max-file", given, 1)
    is_compressed = _boolean("compress", given)
    if is_compressed and not (files > 1 and size):
        raise InvalidArgument(
            "compress cannot be true when max-file is less than 2 or max-size is not set"
        )
    return Rotation(size, files, is_compressed)


def _check_delivery(given: Mapping[str, str]) -> None:
    """Nobody waits here for a log: both modes are the same, and there is no buffer to overflow."""
    mode = given.get("mode", "blocking")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidArgument(f"logging mode not supported: {mode}")
    if "max-buffer-size" in given:
        if mode != "non-blocking":
            raise InvalidArgument(
                "max-buffer-size option is only supported with 'mode=non-blocking'"
            )
        _size("max-buffer-size", given)


def _size(key: str, given: Mapping[str, str]) -> int:
    text = given.get(key, "").strip()
    if text in ("", "-1"):
        return 0
    match = _SIZE.fullmatch(text)
    size = int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    if size <= 0:
        raise InvalidArgument(f"invalid log option {key}: invalid size: '{text}'")
    return size


def _count(key: str, given: Mapping[str, str], default: int) -> int:
    text = given.get(key, str(default))
    number = whole_number(text, most=_MOST_FILES)
    if not number:
        raise InvalidArgument(f"invalid log option {key}: {text}")
    return number


def _cache(given: Mapping[str, str]) -> Rotation:
    """What is kept for `docker logs` of a log that is sent elsewhere."""
    size = _size("cache-max-size", given) or 20 << 20
    is_compressed = _boolean("cache-compress", given)
    return Rotation(size, _count("cache-max-file", given, 5), is_compressed)


def is_cached(config: LogConfig) -> bool:
    return not _boolean("cache-disabled", config.config)


def buffer_bytes(config: LogConfig) -> int:
    """Of what waits to be sent; 0 for the default."""
    return _size("max-buffer-size", config.config)


Encode = Callable[[Origin, Message], Iterable[bytes]]


def destination(config: LogConfig) -> tuple[Address, Encode] | None:
    """Where the entries are sent, and as what; None for a driver that keeps them here.

    Raises InvalidArgument, also where the host has no journal.
    """
    make = _DESTINATIONS.get(driver(config))
    return make(config.config) if make is not None else None


def _syslog(given: Mapping[str, str]) -> tuple[Address, Encode]:
    schemes = ("udp", "tcp", "unix", "unixgram")
    text = given.get("syslog-address") or "unixgram:///dev/log"
    address = parse_address("syslog-address", text, schemes=schemes, port=514)
    if address.scheme == "unix":
        address = Address("unixgram", address.host)  # what syslog daemons listen to
    form, kind = given.get("syslog-format", ""), facility(given.get("syslog-facility", ""))
    if form not in ("", "rfc3164", "rfc5424", "rfc5424micro"):
        raise InvalidArgument("invalid syslog format")
    is_stream = address.is_stream
    return address, lambda origin, message: (
        syslog(origin, message, form=form, kind=kind, is_stream=is_stream),
    )


def _gelf(given: Mapping[str, str]) -> tuple[Address, Encode]:
    if not given.get("gelf-address"):
        raise InvalidArgument("gelf: gelf-address is required")
    address = parse_address(
        "gelf-address", given["gelf-address"], schemes=("udp", "tcp"), port=12201
    )
    packing = given.get("gelf-compression-type", "gzip")
    if packing not in ("gzip", "zlib", "none"):
        raise InvalidArgument(f'gelf: invalid value for "gelf-compression-type" option: {packing}')
    return address, partial(gelf, packing=packing, is_stream=address.is_stream)


def _fluentd(given: Mapping[str, str]) -> tuple[Address, Encode]:
    """It connects when there is something to send, as with `fluentd-async`."""
    _boolean("fluentd-async", given)
    text = given.get("fluentd-address") or "127.0.0.1:24224"
    address = parse_address("fluentd-address", text, schemes=("tcp", "unix"), port=24224)
    return address, lambda origin, message: (fluentd(origin, message),)


def _journald(given: Mapping[str, str]) -> tuple[Address, Encode]:
    if not os.path.exists(_JOURNAL):
        raise InvalidArgument("journald is not enabled on this host")
    return Address("unixgram", _JOURNAL), lambda origin, message: (journal(origin, message),)


_DESTINATIONS: Final[Mapping[str, Callable[[Mapping[str, str]], tuple[Address, Encode]]]] = {
    "syslog": _syslog,
    "gelf": _gelf,
    "fluentd": _fluentd,
    "journald": _journald,
}


def _boolean(key: str, given: Mapping[str, str]) -> bool:
    text = given.get(key, "false").lower()
    if text not in ("true", "false", "1", "0", "t", "f"):
        raise InvalidArgument(f"invalid log option {key}: {text}")
    return text in ("true", "1", "t")


def _pattern(key: str, given: Mapping[str, str]) -> Any:
    """None where it is not given."""
    try:
        return compile_pattern(given[key]) if given.get(key) else None
    except ValueError as error:
        raise InvalidArgument(f"invalid log option {key}: {error}") from error


def tag_of(config: LogConfig, target: LogTarget) -> str:
    """The tag of messages: the short ID where none is said."""
    return _tag(config.config.get("tag") or "{{.ID}}", target)


def attributes(config: LogConfig, container: Config, target: LogTarget) -> dict[str, str]:
    """What each entry is marked with, by name."""
    given = config.config
    env = dict(entry.partition("=")[::2] for entry in container.env if "=" in entry)
    found = _chosen("labels", given, container.labels) | _chosen("env", given, env)
    if given.get("tag"):
        found["tag"] = _tag(given["tag"], target)
    return found


def _chosen(key: str, given: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    names = {name.strip() for name in given.get(key, "").split(",")}
    pattern = _pattern(f"{key}-regex", given)
    return {
        name: value
        for name, value in values.items()
        if name in names or (pattern is not None and pattern.search(name.encode()))
    }


_TAGS: Final[Mapping[str, Callable[[LogTarget], str]]] = {
    ".ID": lambda target: target.id[:12],
    ".FullID": lambda target: target.id,
    ".Name": lambda target: target.name,
    ".ImageID": lambda target: target.image_id.removeprefix("sha256:")[:12],
    ".ImageFullID": lambda target: target.image_id,
    ".ImageName": lambda target: target.image,
    ".DaemonName": lambda _: "docker",
}


def _tag(text: str, target: LogTarget) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in _TAGS:
            raise InvalidArgument(
                f"invalid log option tag: {match[0]}: known are {', '.join(_TAGS)}"
            )
        return _TAGS[match[1]](target)

    return _FIELD.sub(value, text)
