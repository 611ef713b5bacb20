"""How one value is read: a string, number, duration or size, a map from `key=value` entries.

Each reader takes what YAML made of the value, and raises ValueError for what it cannot be.
Source: compose-go, types/; mapstructure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from stackr.spec import units
from stackr.spec.shellwords import split
from stackr.spec.short import parse_host

EXTENSIONS = "#extensions"
"""Where a typed map keeps its `x-*` keys."""
_SPACES = b"\t\n\v\f\r \x85\xa0"
"""Bytes that end a name with a space for Docker Compose, though they may end a letter."""
_MOST_HOSTS = 16 << 20
_INT64_MAX = (1 << 63) - 1
_INT64_MIN = -(1 << 63)


def expected(what: str, value: Any) -> ValueError:
    """That `value` is not `what` it must be, as the reader of a stack file sees it."""
    return ValueError(f"must be {what}, not {units.go_text(value)}")


def read_string(value: Any) -> str:
    """A string; an integer of 64 bits counts as its digits."""
    if units.is_int(value):
        return str(value)
    if type(value) is not str:
        raise expected("a string", value)
    return value


def read_bool(value: Any) -> bool:
    """A boolean, or a string that spells one."""
    if type(value) is str:
        return units.parse_bool(value)
    if type(value) is not bool:
        raise expected("a boolean", value)
    return value


def _whole(value: Any) -> int:
    """An integer; what does not fit 64 bits becomes what Go's conversion makes of it."""
    if type(value) is float:
        return int(value) if abs(value) < 1 << 63 else _INT64_MIN
    if type(value) is not int:
        raise expected("an integer", value)
    return value if value <= _INT64_MAX else value - (1 << 64)


def read_int(value: Any) -> int:
    """An integer; the fraction of a number is cut off."""
    return units.parse_int(value) if type(value) is str else _whole(value)


def read_unsigned(bits: int) -> Callable[[Any], int]:
    """An integer that is not negative, of so many bits as are kept."""

    def read(value: Any) -> int:
        number = _whole(value)
        if value < 0:
            raise expected("a positive integer", value)
        return number & ((1 << bits) - 1)

    return read


def read_float(value: Any) -> float:
    """A number."""
    if type(value) is str:
        return units.parse_float(value)
    if type(value) not in (int, float):
        raise expected("a number", value)
    return float(value)


def read_single(value: Any) -> float:
    """A number, to the precision of 32 bits."""
    return units.single(read_float(value))


def read_duration(value: Any) -> int:
    """Nanoseconds."""
    return units.parse_duration(units.go_text(value))


def read_bytes(value: Any) -> int:
    """Bytes; a number that is no integer of 64 bits counts as none, as in Docker Compose."""
    if type(value) is str:
        return units.parse_size(value)
    return value if units.is_int(value) else 0


def read_mode(value: Any) -> int:
    """A file mode: an integer as it is, a string as octal digits."""
    if type(value) is str:
        try:
            return int(value.removeprefix("+"), 8) if "_" not in value else int("")
        except ValueError:
            raise ValueError(f'must be octal digits, not "{value}"') from None
    if not units.is_int(value):
        raise expected("a file mode", value)
    return value


def read_count(value: Any) -> int:
    """A number of devices; -1 for all."""
    if type(value) is str:
        if value.lower() == "all":
            return -1
        try:
            return units.parse_int(value)
        except ValueError:
            raise ValueError(
                f"invalid value \"{value}\", the only value allowed is 'all' or a number"
            ) from None
    if not units.is_int(value):
        raise expected("a number or all", value)
    return value


def read_cpus(value: Any) -> float:
    """A number of processors."""
    return units.single(read_float(value))


def read_strings(value: Any) -> list[str]:
    """A list of strings, or one."""
    entries = [value] if type(value) is str else value
    if not isinstance(entries, list) or any(type(entry) is not str for entry in entries):
        raise expected("a string or a list of strings", value)
    return entries


def read_numbers(value: Any) -> list[str]:
    """A list of strings and numbers, as strings."""
    if type(value) is str:
        return [value]
    if not isinstance(value, list):
        raise expected("a list", value)
    return [units.go_text(entry) for entry in value]


def read_command(value: Any) -> list[str]:
    """The words of a command."""
    return split(value) if type(value) is str else read_strings(value)


def read_test(value: Any) -> list[str]:
    """A health check's command; a string is for the shell."""
    return ["CMD-SHELL", value] if type(value) is str else read_strings(value)


def fold_extensions(value: dict[str, Any]) -> dict[str, Any]:
    """Docker Compose takes `x-*` keys out of maps of names as well; so it has to be done here."""
    if not any(key.startswith("x-") for key in value):
        return value
    folded = {key: entry for key, entry in value.items() if not key.startswith("x-")}
    folded[EXTENSIONS] = {key: value[key] for key in value if key.startswith("x-")}
    return folded


def _pairs(value: Any, what: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from fold_extensions(value).items()
    elif isinstance(value, list):
        for entry in value:
            text = units.go_text(entry)
            key, equals, rest = text.partition("=")
            yield key, rest if equals else None
    else:
        raise expected(what, value)


def read_labels(value: Any) -> dict[str, str]:
    """A map to strings, from a map or `key=value` entries; no value is an empty one."""
    return {
        key: "" if entry is None else units.go_text(entry)
        for key, entry in _pairs(value, "a mapping or a list")
    }


def read_environment(value: Any) -> dict[str, str | None]:
    """Variables; one without a value is None."""
    if isinstance(value, list):
        for entry in value:
            key = units.go_text(entry).partition("=")[0]
            if key.encode()[-1:] in _SPACES and key:
                raise ValueError(f'environment variable "{key}" has a trailing space')
    return {
        key: None if entry is None else units.go_text(entry)
        for key, entry in _pairs(value, "a mapping or a list")
    }


def read_options(value: Any) -> dict[str, str]:
    """A map to strings, from scalars of any type."""
    if not isinstance(value, dict):
        raise expected("a mapping", value)
    return read_labels(value)


def read_string_map(value: Any) -> dict[str, str]:
    """A map to strings, from strings and integers only."""
    if not isinstance(value, dict):
        raise expected("a mapping", value)
    return {
        key: "" if entry is None else read_string(entry)
        for key, entry in fold_extensions(value).items()
    }


def read_multi_options(value: Any) -> dict[str, list[str]]:
    """A map to lists of strings; one that is empty is left out."""
    if not isinstance(value, dict):
        raise expected("a mapping", value)
    options = {
        key: [units.go_text(each) for each in (entry if isinstance(entry, list) else [entry])]
        for key, entry in fold_extensions(value).items()
    }
    return {key: entries for key, entries in options.items() if entries}


def read_hosts(value: Any) -> dict[str, list[str]]:
    """Host names and their addresses."""
    hosts: dict[str, list[str]] = {}
    if isinstance(value, dict):
        for host, entry in fold_extensions(value).items():
            if isinstance(entry, dict):
                raise expected("an address or a list of addresses", entry)
            many = entry if isinstance(entry, list) else ["" if entry is None else entry]
            hosts[host] = [units.go_text(address) for address in many]
    elif isinstance(value, list):
        for entry in value:
            host, addresses = parse_host(units.go_text(entry))
            hosts.setdefault(host, []).extend(addresses)
    else:
        raise expected("a mapping or a list", value)
    if sum(len(host) * len(addresses) for host, addresses in hosts.items()) > _MOST_HOSTS:
        raise ValueError(f"names and addresses make more than {_MOST_HOSTS >> 20} MiB together")
    for host, addresses in hosts.items():
        if not host or set(host) & {":", "="}:
            raise ValueError(f"bad host name '{host}'")
        hosts[host] = [_without_brackets(address) for address in addresses]
    return hosts


def _without_brackets(address: str) -> str:
    bracketed = len(address) > 2 and address[0] == "[" and address[-1] == "]"
    return address[1:-1] if bracketed else address


def write_hosts(hosts: dict[str, list[str]]) -> list[str]:
    """`host=address` entries, sorted."""
    return sorted(f"{host}={address}" for host, addresses in hosts.items() for address in addresses)
