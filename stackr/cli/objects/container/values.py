"""Values of `container create`'s options as the Engine API takes them; pure but for files read.

Each raises FlagError, in Docker's words, for text that is none.
Source: docker/cli, opts; docker/go-units, ulimit.go.
"""

from __future__ import annotations

import ipaddress
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

from stackr.cli.arguments import parse_moment
from stackr.cli.objects.command import FlagError
from stackr.spec.units import parse_duration, parse_size
from stackr.text import whole_number

__all__ = [
    "address",
    "blkio_weight",
    "capabilities",
    "checked",
    "environment",
    "extra_host",
    "label_map",
    "labels",
    "moment",
    "nano_cpus",
    "nanoseconds",
    "pairs",
    "rate",
    "restart_policy",
    "size_bytes",
    "ulimit",
]

T = TypeVar("T")
Json = dict[str, Any]
_MOST_NANO_CPUS = 10**18
_LIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
    *("rss", "rtprio", "rttime", "sigpending", "stack"),
)


def checked(option: str, text: str, parse: Callable[[str], T]) -> T:
    """What `parse` makes of it; its ValueError as a FlagError that names the option."""
    try:
        return parse(text)
    except ValueError as error:
        raise FlagError(f'invalid argument "{text}" for "{option}" flag: {error}') from error


def integer(text: str) -> int | None:
    """A whole number, also a negative one; None for any other text."""
    number = whole_number(text.removeprefix("-"))
    return -number if number and text.startswith("-") else number


def size_bytes(option: str, text: str, *, unlimited: bool = False) -> int:
    """unlimited: -1 is taken too. "" is 0."""
    if not text or (unlimited and text == "-1"):
        return -1 if text else 0
    return checked(option, text, parse_size)


def nano_cpus(text: str) -> int:
    try:
        value = Decimal(text or "0") * 10**9
    except InvalidOperation:
        raise FlagError(f'invalid argument "{text}" for "--cpus" flag: not a number') from None
    if value != value.to_integral_value() or not 0 <= value < _MOST_NANO_CPUS:
        raise FlagError(f'invalid argument "{text}" for "--cpus" flag: value is too precise')
    return int(value)


def nanoseconds(option: str, text: str) -> int:
    if not text:
        return 0
    value = checked(option, text, parse_duration)
    if value < 0:
        raise FlagError(f"{option} cannot be negative")
    return value


def moment(option: str, text: str) -> str | None:
    """Unix seconds of `10m` (before now, in whole seconds as with docker) or of a date."""
    if not text:
        return None
    found = parse_moment(option, text, now=int(time.time()))
    return f"{found:.9f}"


def address(option: str, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise FlagError(
            f'invalid argument "{text}" for "{option}" flag: {text} is not an ip address'
        ) from None


def pairs(option: str, texts: Sequence[str], *, needs_value: bool = False) -> dict[str, str]:
    """`["a=b", "c"]` as {"a": "b", "c": ""}."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or (needs_value and not equals):
            raise FlagError(f'invalid argument "{text}" for "{option}" flag: KEY=VALUE is expected')
        found[key] = value
    return found


def environment(
    texts: Sequence[str], files: Sequence[str], environ: Mapping[str, str] = os.environ
) -> list[str]:
    """Of the files, then of the options. KEY alone takes the caller's value.

    Without one, an option's KEY stays as it is, which unsets it, and a file's is left out.
    """
    found = []
    for line in _lines("--env-file", files):
        key, equals, _ = line.partition("=")
        if not equals and key not in environ:
            continue
        found.append(line if equals else f"{key}={environ[key]}")
    for text in texts:
        if not text or text.startswith("="):
            raise FlagError(
                f'invalid argument "{text}" for "-e, --env" flag: invalid environment variable:'
                f" {text}"
            )
        known = "=" not in text and text in environ
        found.append(f"{text}={environ[text]}" if known else text)
    return found


def labels(texts: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """Of the files, then of the options."""
    return label_map([*_lines("--label-file", files), *texts])


def label_map(texts: Sequence[str]) -> dict[str, str]:
    for text in texts:
        if not text or text.startswith("="):
            raise FlagError(
                f'invalid argument "{text}" for "-l, --label" flag: invalid label'
                f" '{text}': empty name"
            )
    return pairs("--label", texts)


def _lines(option: str, files: Sequence[str]) -> list[str]:
    """The KEY[=VALUE] of files, without comments and empty lines."""
    found = []
    for file in files:
        try:
            text = Path(file).read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = (getattr(error, "strerror", None) or str(error)).lower()
            raise FlagError(f"{option}: open {file}: {why}") from error
        for number, line in enumerate(text.splitlines(), start=1):
            found += _line(option, file, number, line.lstrip())
    return found


def _line(option: str, file: str, number: int, line: str) -> list[str]:
    if not line or line.startswith("#"):
        return []
    key = line.partition("=")[0]
    if not key:
        raise FlagError(f"{option}: {file}:{number}: no variable name")
    if re.search(r"\s", key):
        raise FlagError(f"{option}: {file}:{number}: variable '{key}' contains whitespaces")
    return [line]


def capabilities(texts: Sequence[str]) -> set[str]:
    """`net_raw` as CAP_NET_RAW; of ALL and others, ALL."""
    names = {text.upper().strip() for text in texts}
    if "ALL" in names:
        return {"ALL"}
    return {name if name.startswith("CAP_") else f"CAP_{name}" for name in names}


def extra_host(text: str) -> str:
    """`host=ip` and `host:ip` as `host:ip`."""
    separator = "=" if "=" in text else ":"
    host, found, where = text.partition(separator)
    if not found or not host:
        raise FlagError(
            f'invalid argument "{text}" for "--add-host" flag: bad format for add-host: "{text}"'
        )
    if where.startswith("[") and where.endswith("]"):
        where = where[1:-1]
    if where != "host-gateway":
        try:
            ipaddress.ip_address(where)
        except ValueError:
            raise FlagError(
                f'invalid argument "{text}" for "--add-host" flag: invalid IP address in add-host:'
                f' "{where}"'
            ) from None
    return f"{host}:{where}"


def blkio_weight(text: str) -> Json:
    """`/dev/sda:500`."""
    path, given = _of_device("--blkio-weight-device", text)
    weight = whole_number(given, most=1000)
    if weight is None or 0 < weight < 10:
        raise FlagError(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": weight}


def rate(option: str, text: str, *, is_bytes: bool) -> Json:
    """`/dev/sda:1mb`, `/dev/sda:100`."""
    path, value = _of_device(option, text)
    if is_bytes:
        return {"Path": path, "Rate": checked(option, value, parse_size)}
    number = whole_number(value)
    if number is None:
        raise FlagError(f"{option}: invalid rate for device: {text}")
    return {"Path": path, "Rate": number}


def _of_device(option: str, text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon or not path:
        raise FlagError(f'invalid argument "{text}" for "{option}" flag: bad format: {text}')
    if not path.startswith("/dev/"):
        raise FlagError(
            f'invalid argument "{text}" for "{option}" flag: bad format for device path: {text}'
        )
    return path, value


def ulimit(text: str) -> Json:
    """`nofile=1024:2048`."""
    name, equals, values = text.partition("=")
    soft, colon, hard = values.partition(":")
    try:
        if not equals:
            raise ValueError(f"invalid ulimit argument: {text}")
        if name not in _LIMITS:
            raise ValueError(f"invalid ulimit type: {name}")
        least, most = int(soft), int(hard if colon else soft)
        if most != -1 and (least > most or least == -1):
            raise ValueError(
                f"ulimit soft limit must be less than or equal to hard limit: {values}"
            )
    except ValueError as error:
        raise FlagError(f'invalid argument "{text}" for "--ulimit" flag: {error}') from error
    return {"Name": name, "Soft": least, "Hard": most}


def restart_policy(text: str) -> Json:
    """`on-failure:3`; {} for none."""
    name, colon, count = text.partition(":")
    if not text:
        return {}
    if not name:
        raise FlagError("invalid restart policy format: no policy provided before colon")
    number = integer(count) if colon else 0
    if number is None:
        raise FlagError("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name, "MaximumRetryCount": number}
