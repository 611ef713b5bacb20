"""How the fields of an options dataclass are given on a command line: declared once, at the field.

`force: Annotated[bool, Option("--force", "-f", help="Do not ask")] = False` says all of it; the
commands make their parameters from that, and nothing here knows of a parser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

from stackr.errors import InvalidArgument

__all__ = ["Choice", "Contradiction", "Option", "check_conflicts", "declared", "given"]


class Contradiction(InvalidArgument):
    """Options that cannot be given together; the command that has them goes before the message."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option. spellings: the first one names it in messages; `--a/--no-a` has a negation.

    kind: how its words are read where the field's type does not say it: "span" (a duration, 0 for
    none), "seconds" (a duration), "pull" (a policy). variable: of the environment, which says the
    same. turns_off: the flag makes the field false.
    """

    spellings: tuple[str, ...]
    help: str = ""
    metavar: str | None = None
    kind: str = ""
    variable: str = ""
    hidden: bool = False
    turns_off: bool = False

    def __init__(
        self,
        *spellings: str,
        help: str = "",
        metavar: str | None = None,
        kind: str = "",
        variable: str = "",
        hidden: bool = False,
        turns_off: bool = False,
    ) -> None:
        values = (spellings, help, metavar, kind, variable, hidden, turns_off)
        for each, value in zip(fields(self), values, strict=True):
            object.__setattr__(self, each.name, value)


@dataclass(frozen=True, slots=True)
class Choice:
    """Flags of which each chooses a value of the field; only one of them may be given."""

    flags: Mapping[str, Option] = field(default_factory=dict)


def declared(options: Any) -> Mapping[str, tuple[Any, Any]]:
    """The type and the declaration of each field of an options dataclass that has one."""
    return _declared(options)


@cache
def _declared(options: Any) -> Mapping[str, tuple[Any, Any]]:
    found = {}
    for name, hint in get_type_hints(options, include_extras=True).items():
        for declaration in get_args(hint)[1:]:
            found[name] = (get_args(hint)[0], declaration)
    return found


def given(options: Any) -> Iterator[str]:
    """The first spelling of each option whose value is not the default; of nested ones too."""
    for each in fields(options):
        value = getattr(options, each.name)
        if is_dataclass(value) and not isinstance(value, type):
            yield from given(value)
        _, declaration = declared(type(options)).get(each.name, (None, None))
        if isinstance(declaration, Choice) and value in declaration.flags:
            yield declaration.flags[value].spellings[0]
        elif isinstance(declaration, Option) and value not in (each.default, (), {}):
            yield declaration.spellings[0]


def check_conflicts(options: Any, *pairs: tuple[str, str]) -> None:
    """Raises Contradiction for the first pair of spellings that are both given."""
    found = set(given(options))
    for first, second in pairs:
        if first in found and second in found:
            raise Contradiction(f"{first} and {second} cannot be combined")
