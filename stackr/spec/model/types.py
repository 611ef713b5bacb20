"""The types that many attributes share, each with what is known of it: unit, kind, rules."""

from typing import Annotated, TypeAlias

from stackr.spec import identity, merge
from stackr.spec.attribute import Merge, Unique, Written
from stackr.spec.values import (
    AS_BOOL,
    AS_INT,
    BYTES,
    COMMAND,
    DURATION,
    DURATION_POINTER,
    OPTIONS,
    STRINGS,
    UINT64_POINTER,
)

Duration: TypeAlias = Annotated[float, DURATION]
"""Seconds."""
OptionalDuration: TypeAlias = Annotated[float | None, DURATION_POINTER]
"""Seconds; None where 0 is something else than nothing."""
Bytes: TypeAlias = Annotated[int, BYTES]
"""A size in bytes."""
Flag: TypeAlias = Annotated[bool, AS_BOOL]
"""A boolean that may come from a variable; so do these numbers."""
OptionalFlag: TypeAlias = Annotated[bool | None, AS_BOOL]
Number: TypeAlias = Annotated[int, AS_INT]
OptionalNumber: TypeAlias = Annotated[int | None, AS_INT]
Retries: TypeAlias = Annotated[int | None, UINT64_POINTER, AS_INT]
"""A count that is not negative."""

Words: TypeAlias = Annotated[tuple[str, ...], STRINGS]
"""A list of strings that may be written as one string."""
Distinct: TypeAlias = Annotated[tuple[str, ...], Unique(identity.name)]
"""A list of strings, each once."""
Command: TypeAlias = Annotated[tuple[str, ...] | None, COMMAND, Written(always=True)]
"""The words of a command; None for none."""

Options: TypeAlias = Annotated[dict[str, str], OPTIONS]
"""Options of a driver."""
Labels: TypeAlias = Annotated[dict[str, str], Merge(merge.sequence), Unique(identity.name)]
"""A map, or a list of `key=value`."""
Variables: TypeAlias = Annotated[
    dict[str, str | None], Merge(merge.sequence), Unique(identity.name)
]
"""The same; None is a variable without a value."""
Hosts: TypeAlias = Annotated[dict[str, tuple[str, ...]], Merge(merge.hosts)]
"""Host names and their addresses."""
