"""Where a value comes from: a place in a file, or a variable; as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from stackr.spec.layers import FileVia

__all__ = ["Provenance", "VariableSource", "VariableVia", "Via"]

VariableVia: TypeAlias = Literal["shell", "env_file", "default", "alternate", "project", "unset"]
"""`default` and `alternate`: the words of `${NAME:-word}` and `${NAME:+word}`."""


@dataclass(frozen=True, slots=True)
class VariableSource:
    """What gives a variable a value; `value` is None where that is not set.

    text: the line of an env file. file is "" and line 0 for what stands in no file.
    """

    name: str
    via: VariableVia
    value: str | None
    file: str = ""
    line: int = 0
    column: int = 0
    text: str = ""


Via: TypeAlias = FileVia | Literal["env_file", "label_file", "variable", "option", "default"]
"""`variable`: a bare name whose value is a variable's. `default`: Docker Compose's own value."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """One place that gives a value. Line and column count from 1, and are 0 where no file has it.

    text: as it is written, None for a mapping or list. variables: for each variable in the text,
    what could give it a value, that which counts first.
    """

    via: Via
    file: str = ""
    line: int = 0
    column: int = 0
    text: str | None = None
    variables: tuple[tuple[VariableSource, ...], ...] = ()

    def with_files(self, named: Callable[[str], str]) -> Provenance:
        """The same, its files by other names."""
        return replace(
            self,
            file=named(self.file) if self.file else "",
            variables=tuple(
                tuple(replace(s, file=named(s.file)) if s.file else s for s in sources)
                for sources in self.variables
            ),
        )
