"""The kinds of values that attributes have: how each is read, written out, and put in the models.

A tree is decoded to a tree of typed values: durations in nanoseconds, sizes in bytes, lists of
`key=value` as maps. What is zero is as good as absent, except where a kind says otherwise.
`stackr.spec.fields` says which attribute is of which kind.
Source: compose-go, types/; mapstructure; Go's encoding/json for what `omitempty` leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

from stackr.spec import units
from stackr.spec.key_order import all_in_order, in_order
from stackr.spec.problems import Finding, nearest
from stackr.spec.rules import Path
from stackr.spec.scalars import Timestamp
from stackr.spec.shellwords import split
from stackr.spec.short import parse_host

EXTENSIONS = "#extensions"
"""Where a typed map keeps its `x-*` keys."""
EXTENSION = "x-stackr"
"""The extension that is stackr's own."""
_SPACES = b"\t\n\v\f\r \x85\xa0"
"""Bytes that end a name with a space for Docker Compose, though they may end a letter."""
_MOST_HOSTS = 16 << 20
_INT64_MAX = (1 << 63) - 1
_INT64_MIN = -(1 << 63)


class Faults:
    """Collects what could not be decoded."""

    def __init__(self) -> None:
        self.found: list[Finding] = []

    def add(
        self, path: Path, message: str, *, hint: str | None = None, at_key: bool = False
    ) -> None:
        self.found.append(Finding(path, message, hint, at_key))


class Kind:
    """A kind of value; this one takes anything as it is."""

    never_empty = False
    """Written out even when it is zero, as a Go struct or pointer is."""

    def absent(self, build: Build) -> Any:
        """What the models hold for an attribute that is not there."""
        return None

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        """The typed value; what is wrong is told to `faults`. None stays out of here."""
        return value

    def plain(self, value: Any, *, yaml: bool) -> Any:
        """What `config` prints for a typed value, as JSON or for YAML."""
        return value

    def hold(self, value: Any, build: Build) -> Any:
        """What the models hold for a typed value; `build` makes a model of what is a struct."""
        return value


class Scalar(Kind):
    """A value that one function reads, which raises ValueError."""

    def __init__(
        self,
        read: Callable[[Any], Any],
        *,
        write: Callable[[Any], Any] | None = None,
        hold: Callable[[Any], Any] | None = None,
        pointer: bool = False,
        absent: Callable[[], Any] | None = None,
    ) -> None:
        self._read, self._write, self._hold, self._absent = read, write, hold, absent
        self.never_empty = pointer

    def absent(self, build: Build) -> Any:
        return None if self._absent is None else self._absent()

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        try:
            return self._read(value)
        except ValueError as error:
            faults.add(path, str(error))
            return None

    def plain(self, value: Any, *, yaml: bool) -> Any:
        if yaml and isinstance(value, float):
            return value
        written = self._write(value) if self._write is not None else value
        return _sorted(written, yaml=yaml) if isinstance(written, dict) else written

    def hold(self, value: Any, build: Build) -> Any:
        return self._hold(value) if self._hold is not None else value


def _sorted(tree: dict[str, Any], *, yaml: bool) -> dict[str, Any]:
    return in_order(tree) if yaml else dict(sorted(tree.items()))


def _expected(what: str, value: Any) -> ValueError:
    return ValueError(f"must be {what}, not {units.go_text(value)}")


def read_string(value: Any) -> str:
    """A string; an integer of 64 bits counts as its digits."""
    if units.is_int(value):
        return str(value)
    if type(value) is not str:
        raise _expected("a string", value)
    return value


def read_bool(value: Any) -> bool:
    """A boolean, or a string that spells one."""
    if type(value) is str:
        return units.parse_bool(value)
    if type(value) is not bool:
        raise _expected("a boolean", value)
    return value


def _whole(value: Any) -> int:
    """An integer; what does not fit 64 bits becomes what Go's conversion makes of it."""
    if type(value) is float:
        return int(value) if abs(value) < 1 << 63 else _INT64_MIN
    if type(value) is not int:
        raise _expected("an integer", value)
    return value if value <= _INT64_MAX else value - (1 << 64)


def read_int(value: Any) -> int:
    """An integer; the fraction of a number is cut off."""
    return units.parse_int(value) if type(value) is str else _whole(value)


def read_unsigned(bits: int) -> Callable[[Any], int]:
    """An integer that is not negative, of so many bits as are kept."""

    def read(value: Any) -> int:
        number = _whole(value)
        if value < 0:
            raise _expected("a positive integer", value)
        return number & ((1 << bits) - 1)

    return read


def read_float(value: Any) -> float:
    """A number."""
    if type(value) is str:
        return units.parse_float(value)
    if type(value) not in (int, float):
        raise _expected("a number", value)
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
        raise _expected("a file mode", value)
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
        raise _expected("a number or all", value)
    return value


def read_cpus(value: Any) -> float:
    """A number of processors."""
    return units.single(read_float(value))


def read_strings(value: Any) -> list[str]:
    """A list of strings, or one."""
    entries = [value] if type(value) is str else value
    if not isinstance(entries, list) or any(type(entry) is not str for entry in entries):
        raise _expected("a string or a list of strings", value)
    return entries


def read_numbers(value: Any) -> list[str]:
    """A list of strings and numbers, as strings."""
    if type(value) is str:
        return [value]
    if not isinstance(value, list):
        raise _expected("a list", value)
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
        raise _expected(what, value)


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
            if key.encode("utf-8", "surrogateescape")[-1:] in _SPACES and key:
                raise ValueError(f'environment variable "{key}" has a trailing space')
    return {
        key: None if entry is None else units.go_text(entry)
        for key, entry in _pairs(value, "a mapping or a list")
    }


def read_options(value: Any) -> dict[str, str]:
    """A map to strings, from scalars of any type."""
    if not isinstance(value, dict):
        raise _expected("a mapping", value)
    return read_labels(value)


def read_string_map(value: Any) -> dict[str, str]:
    """A map to strings, from strings and integers only."""
    if not isinstance(value, dict):
        raise _expected("a mapping", value)
    return {
        key: "" if entry is None else read_string(entry)
        for key, entry in fold_extensions(value).items()
    }


def read_multi_options(value: Any) -> dict[str, list[str]]:
    """A map to lists of strings; one that is empty is left out."""
    if not isinstance(value, dict):
        raise _expected("a mapping", value)
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
                raise _expected("an address or a list of addresses", entry)
            many = entry if isinstance(entry, list) else ["" if entry is None else entry]
            hosts[host] = [units.go_text(address) for address in many]
    elif isinstance(value, list):
        for entry in value:
            host, addresses = parse_host(units.go_text(entry))
            hosts.setdefault(host, []).extend(addresses)
    else:
        raise _expected("a mapping or a list", value)
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


class ListOf(Kind):
    """A list, each of its entries of one kind."""

    def __init__(self, kind: Kind, empty: Any = None) -> None:
        self.entry, self._empty = kind, empty

    def absent(self, build: Build) -> Any:
        return ()

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        if not isinstance(value, list):
            faults.add(path, str(_expected("a list", value)))
            return None
        return [
            self._empty if entry is None else self.entry.decode(entry, (*path, index), faults)
            for index, entry in enumerate(value)
        ]

    def plain(self, value: Any, *, yaml: bool) -> Any:
        return [None if entry is None else self.entry.plain(entry, yaml=yaml) for entry in value]

    def hold(self, value: Any, build: Build) -> Any:
        return tuple(self.entry.hold({} if entry is None else entry, build) for entry in value)


class MapOf(Kind):
    """A map from names, each of its values of one kind; `named`: x-* is a name as any other."""

    def __init__(self, kind: Kind, *, nullable: bool = False, named: bool = False) -> None:
        self.entry, self._nullable, self._named = kind, nullable, named

    def absent(self, build: Build) -> Any:
        return {}

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        if not isinstance(value, dict):
            faults.add(path, str(_expected("a mapping", value)))
            return None
        entries = value if self._named else fold_extensions(value)
        return {
            key: self._none() if entry is None else self.entry.decode(entry, (*path, key), faults)
            for key, entry in entries.items()
        }

    def _none(self) -> Any:
        return None if self._nullable else {}

    def plain(self, value: Any, *, yaml: bool) -> Any:
        return {
            key: None if entry is None else self.entry.plain(entry, yaml=yaml)
            for key, entry in _sorted(value, yaml=yaml).items()
        }

    def hold(self, value: Any, build: Build) -> Any:
        return {
            key: None if entry is None else self.entry.hold(entry, build)
            for key, entry in value.items()
        }


class Ulimit(Kind):
    """A limit for both, or a soft and a hard one."""

    never_empty = True

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        if units.is_int(value):
            return {"single": value} if value else {}
        if not isinstance(value, dict):
            faults.add(path, str(_expected("an integer or a mapping", value)))
            return None
        limits = {}
        for name in ("soft", "hard"):
            if name in value and not units.is_int(value[name]):
                faults.add((*path, name), str(_expected("an integer", value[name])))
            elif value.get(name):
                limits[name] = value[name]
        return limits

    def plain(self, value: Any, *, yaml: bool) -> Any:
        if value.get("single"):
            return value["single"]
        if yaml:
            return {"soft": value.get("soft", 0), "hard": value.get("hard", 0)}
        return value

    def hold(self, value: Any, build: Build) -> Any:
        return build(_ULIMIT, value)


class Unprintable(ValueError):
    """A value that JSON has no form for, as Docker Compose writes it."""


class SshKeys(Kind):
    """SSH keys by name; None is the agent."""

    def absent(self, build: Build) -> Any:
        return ()

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        if not isinstance(value, dict):
            faults.add(path, str(_expected("a mapping", value)))
            return None
        return {
            key: None if entry is None else units.go_text(entry)
            for key, entry in fold_extensions(value).items()
        }

    def plain(self, value: Any, *, yaml: bool) -> Any:
        if not yaml and any(value.values()):
            raise Unprintable("build.ssh: a key with a path cannot be written as JSON: use YAML")
        return [f"{key}: {entry}" if entry else key for key, entry in sorted(value.items())]

    def hold(self, value: Any, build: Build) -> Any:
        return tuple(build(_SSH_KEY, {"id": key, "path": path}) for key, path in value.items())


class EnvFile(Kind):
    """A file of variables; written as its path alone where it is required."""

    never_empty = True

    def __init__(self, struct: Struct) -> None:
        self.struct = struct

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        return self.struct.decode(value, path, faults)

    def plain(self, value: Any, *, yaml: bool) -> Any:
        if value.get("required"):
            return value.get("path", "")
        return {**self.struct.plain(value, yaml=yaml), "required": False}

    def hold(self, value: Any, build: Build) -> Any:
        return build(self.struct, value)


class Field(NamedTuple):
    """An attribute: its kind, and how it is written out where that differs.

    always: also when it is absent, as `zero`. shown: the key in JSON, where that is another one.
    """

    kind: Kind
    always: bool = False
    zero: Any = None
    shown: str = ""


class Struct(Kind):
    """A map with known keys; `x-*` keys are kept apart.

    closed: other keys are refused here, where no schema has done so.
    """

    def __init__(
        self, model: str, /, *, pointer: bool = True, closed: bool = False, **fields: Field | Kind
    ) -> None:
        self.name = model
        self.never_empty = True
        self._pointer = pointer
        self._closed = closed
        self.fields = {
            name: field if isinstance(field, Field) else Field(field)
            for name, field in fields.items()
        }
        self._class: Any = None

    def absent(self, build: Build) -> Any:
        return None if self._pointer else build(self, {})

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        if not isinstance(value, dict):
            faults.add(path, str(_expected("a mapping", value)))
            return None
        typed: dict[str, Any] = {}
        extensions: dict[str, Any] = {}
        for key, entry in value.items():
            field = self.fields.get(key)
            if field is not None:
                if entry is not None:
                    decoded = field.kind.decode(entry, (*path, key), faults)
                    if decoded is not None:
                        typed[key] = decoded
            elif key.startswith("x-"):
                extensions[key] = entry
            elif self._closed:
                hint = nearest(key, self.fields)
                faults.add((*path, key), f'unknown key "{key}"', hint=hint, at_key=True)
        if extensions:
            typed[EXTENSIONS] = extensions
        return typed

    def plain(self, value: Any, *, yaml: bool) -> Any:
        shown: dict[str, Any] = {}
        for name, field in self.fields.items():
            entry = value.get(name)
            if entry is None and not (isinstance(field.kind, Struct) and not field.kind._pointer):
                if field.always and (not yaml or field.zero is not None):
                    shown[name if yaml else field.shown or name] = field.zero
                continue
            written = _written(field, {} if entry is None else entry, yaml=yaml)
            if written is not _OMITTED:
                shown[name if yaml or not field.shown else field.shown] = written
        if yaml:
            shown |= all_in_order(value.get(EXTENSIONS, {}))
        return shown

    def hold(self, value: Any, build: Build) -> Any:
        return build(self, value)

    def model_class(self) -> Any:
        """The pydantic model, which is imported when somebody asks for it."""
        if self._class is None:
            module, name = self.name.split(":")
            self._class = getattr(import_module(f"stackr.spec.model.{module}"), name)
        return self._class


Build: TypeAlias = Callable[[Struct, dict[str, Any]], Any]
"""Makes a model of a struct's typed value."""

_ULIMIT = Struct(
    "build:Ulimit", single=Scalar(read_int), soft=Scalar(read_int), hard=Scalar(read_int)
)
_SSH_KEY = Struct("build:SshKey", id=Scalar(read_string), path=Scalar(read_string))


_OMITTED = object()


def _written(field: Field, value: Any, *, yaml: bool) -> Any:
    kind = field.kind
    if not value and not field.always and not (kind.never_empty and not isinstance(kind, Struct)):
        by_value = isinstance(kind, Struct) and (not yaml or kind._pointer)
        if not by_value:
            return _OMITTED
    written = kind.plain(value, yaml=yaml)
    if yaml and not written and isinstance(kind, Struct) and not kind._pointer:
        return _OMITTED
    return written


__all__ = [
    "EXTENSION",
    "EXTENSIONS",
    "Build",
    "EnvFile",
    "Faults",
    "Field",
    "Kind",
    "ListOf",
    "MapOf",
    "Scalar",
    "SshKeys",
    "Struct",
    "Timestamp",
    "Ulimit",
    "Unprintable",
]
