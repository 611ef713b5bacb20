"""What is known of an attribute beside its type: marks in the `Annotated` of its field.

A model's field is the only declaration of an attribute. Its kind (`stackr.spec.decode`) says how a
value is read and written, and follows from the type where no kind stands with it; a `Rule` is what
one phase of loading does with it. `stackr.spec.declared` gathers them, and makes of each sort of
rule the table that its phase walks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from stackr.spec.rules import Branch, Path, Transform

R = TypeVar("R")

MergeRule: TypeAlias = Callable[[Any, Any, "Branch[Any] | None", Path], Any]
"""(the value so far, the one that overrides it, the rules below it, its path) -> both as one."""
Identity: TypeAlias = Callable[[Any], Hashable]
"""(an entry of a list) -> what two entries that stand for the same thing have in common."""


class Mark:
    """Something that is known of an attribute."""

    __slots__ = ()


class Rule(Mark, Generic[R]):
    """What a phase does with an attribute."""

    __slots__ = ("rule",)

    def __init__(self, rule: R) -> None:
        self.rule = rule


class Cast(Rule[Callable[[str], Any]]):
    """What a text becomes once its variables are resolved. Raises ValueError."""


class Merge(Rule[MergeRule]):
    """How a file overrides it: `stackr.spec.merge`. Without: maps merge, lists append."""


class Unique(Rule[Identity]):
    """Of entries with the same identity the last one counts: `stackr.spec.identity`."""


class LongForm(Rule[Transform[Any]]):
    """How a short form is written out: `stackr.spec.canonical`."""


class IsPath(Rule[Transform[Any]]):
    """How a relative path is made absolute: `stackr.spec.paths`."""


class Default(Rule[Transform[Any]]):
    """What is filled in: `stackr.spec.defaults`."""


class Check(Rule[Transform[Any]]):
    """What no JSON Schema can refuse: `stackr.spec.checks`."""


class NormalCheck(Rule[Transform[Any]]):
    """The same, for a project that is brought to its normal form."""


class At(Mark):
    """Marks of what is below an attribute: `*` is each of its entries, `*.soft` a key of each."""

    __slots__ = ("marks", "path")

    def __init__(self, path: str, *marks: Mark) -> None:
        self.path, self.marks = path, marks


class Own(Mark):
    """No attribute of the file: who makes the model gives it."""


class Names(Mark):
    """Of a map: an `x-*` key of it is a name as any other."""


class Written(NamedTuple):
    """How an attribute is written out where that differs from others.

    always: also when it is absent, as `zero`. shown: the key in JSON, where that is another one.
    """

    always: bool = False
    zero: Any = None
    shown: str = ""


OWN = Own()
NAMES = Names()
