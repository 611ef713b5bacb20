"""The kinds that attributes with a plain value have; which one follows from the type, if it can.

Source: compose-go v2.9.1, types/types.go and types/project.go.
"""

from __future__ import annotations

from typing import Any

from stackr.spec import readers
from stackr.spec.attribute import Cast
from stackr.spec.decode import Kind, ListOf, Scalar, Unit
from stackr.spec.units import (
    format_duration,
    json_number,
    parse_bool,
    parse_float,
    parse_int,
    single,
)

_NANO = 1_000_000_000


def seconds(nanoseconds: int) -> float:
    """What the models hold for a duration."""
    return nanoseconds / _NANO


def _octal(mode: int) -> str:
    return f"0{mode:o}" if mode >= 0 else f"0-{-mode:o}"


STRING = Scalar(readers.read_string)
BOOL = Scalar(readers.read_bool)
BOOL_POINTER = Scalar(readers.read_bool, pointer=True)
INT = Scalar(readers.read_int)
INT_POINTER = Scalar(readers.read_int, pointer=True)
UINT16 = Scalar(readers.read_unsigned(16))
UINT32 = Scalar(readers.read_unsigned(32))
UINT64 = Scalar(readers.read_unsigned(64))
UINT64_POINTER = Scalar(readers.read_unsigned(64), pointer=True)
SINGLE = Scalar(readers.read_single, write=json_number)
CPUS = Scalar(readers.read_cpus, write=json_number)
BYTES = Scalar(readers.read_bytes, write=str, unit=Unit.BYTES)
SWAPPINESS = Scalar(readers.read_bytes, write=str)
DURATION = Scalar(readers.read_duration, write=format_duration, hold=seconds, unit=Unit.SECONDS)
DURATION_POINTER = Scalar(
    readers.read_duration, write=format_duration, hold=seconds, unit=Unit.SECONDS, pointer=True
)
FILE_MODE = Scalar(readers.read_mode, write=_octal, unit=Unit.FILE_MODE, pointer=True)
FILE_BITS = Scalar(readers.read_unsigned(32), unit=Unit.FILE_MODE)
COUNT = Scalar(readers.read_count)
COMMAND = Scalar(readers.read_command, hold=tuple, pointer=True)
TEST = Scalar(readers.read_test, hold=tuple)
STRINGS = Scalar(readers.read_strings, hold=tuple)
NUMBERS = Scalar(readers.read_numbers, hold=tuple)
LABELS = Scalar(readers.read_labels)
ENVIRONMENT = Scalar(readers.read_environment)
OPTIONS = Scalar(readers.read_options)
STRING_MAP = Scalar(readers.read_string_map)
MULTI_OPTIONS = Scalar(
    readers.read_multi_options,
    hold=lambda options: {key: tuple(value) for key, value in options.items()},
)
HOSTS = Scalar(
    readers.read_hosts,
    write=readers.write_hosts,
    hold=lambda hosts: {host: tuple(addresses) for host, addresses in hosts.items()},
)
LIST = ListOf(STRING, empty="")

BY_TYPE: dict[Any, Kind] = {
    str: STRING,
    str | None: STRING,
    bool: BOOL,
    bool | None: BOOL_POINTER,
    int: INT,
    int | None: INT_POINTER,
    tuple[str, ...]: LIST,
    dict[str, str]: LABELS,
    dict[str, str | None]: ENVIRONMENT,
    dict[str, tuple[str, ...]]: HOSTS,
}
"""Type of a field -> its kind, unless another one stands with it."""

AS_INT = Cast(parse_int)
AS_FLOAT = Cast(parse_float)
AS_BOOL = Cast(parse_bool)


def _single(text: str) -> float:
    return single(parse_float(text))


AS_SINGLE = Cast(_single)
