"""What is known of an attribute beside its type: marks in the `Annotated` of its field.

A model's field is the only declaration of an attribute. Its kind (`stackr.spec.decode`) says how a
value is read and written, and follows from the type where no kind stands with it; a `Rule` is what
one phase of loading does with it. `stackr.spec.declared` gathers them, and makes of each sort of
rule the table that its phase walks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from enum import Enum
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


class Effect(Enum):
    """What a change does to containers that exist."""

    RECREATE = "they are made anew"
    IN_PLACE = "they stay, and are changed, where the engine can"
    TOLD = "they stay; only what they record of the service is changed"
    SCALE = "some are made or removed"
    RESOLVED = "it is gone once a stack is loaded; what it brings has its own effect"
    NONE = "nothing"


class OnChange(Mark):
    """The effect of a change of it, and of what is below it; without: RECREATE. why: for people."""

    __slots__ = ("effect", "why")

    def __init__(self, effect: Effect, why: str = "") -> None:
        self.effect, self.why = effect, why


class State(Enum):
    """What the embedded engine does with an attribute."""

    YES = "yes"
    PARTLY = "partly"
    NO_EFFECT = "no effect"
    NO = "refused"


class Support(Mark):
    """Whether the embedded engine honours it; without: it does.

    refuses: whether a value is refused, for `PARTLY`; `NO` refuses all. is_everywhere: of `NO`,
    that no other engine honours it either.
    """

    __slots__ = ("is_everywhere", "note", "refuses", "state")

    def __init__(
        self,
        state: State,
        note: str = "",
        refuses: Callable[[Any], bool] | None = None,
        *,
        is_everywhere: bool = False,
    ) -> None:
        self.state, self.note, self.refuses = state, note, refuses
        self.is_everywhere = is_everywhere


class Elsewhere(Mark):
    """What other engines than the embedded one do with it, by dialect; without: they honour it."""

    __slots__ = ("support",)

    def __init__(self, **support: Support) -> None:
        self.support: Mapping[str, Support] = support


class Since(Mark):
    """The version of Docker Compose that was the first to know it."""

    __slots__ = ("version",)

    def __init__(self, version: str) -> None:
        self.version = version


class Schema(Mark):
    """How it is written in a file, as JSON Schema.

    Only for an attribute of a section's entries that the specification's schema does not have yet.
    """

    __slots__ = ("rule",)

    def __init__(self, **rule: Any) -> None:
        self.rule = rule


class Namespace(Mark):
    """It says whose namespace is used. forms: what it may be, or begin with before a colon."""

    __slots__ = ("forms",)

    def __init__(self, *forms: str) -> None:
        self.forms = forms


class Named(Mark):
    """Of a list: the keys by which people tell its entries apart, the telling one first."""

    __slots__ = ("keys",)

    def __init__(self, *keys: str) -> None:
        self.keys = keys


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


class Order(Mark):
    """Of a list: whether the order of its entries means something."""


class Keyed(Mark):
    """Of a map: each of its keys is told of by itself, also where the whole map comes or goes."""


class ModelOnly(Mark):
    """The model has it, as Docker Compose's does; no file can, as the schema does not know it."""


class Unhashed(Mark):
    """Docker Compose's hash of a service leaves it out."""


OWN = Own()
NAMES = Names()
ORDERED = Order()
UNORDERED = Order()
KEYED = Keyed()
MODEL_ONLY = ModelOnly()
UNHASHED = Unhashed()


def recreates(why: str) -> OnChange:
    return OnChange(Effect.RECREATE, why)


def in_place(why: str = "") -> OnChange:
    return OnChange(Effect.IN_PLACE, why)


def no_effect(why: str) -> OnChange:
    return OnChange(Effect.NONE, why)


def supported(note: str = "") -> Support:
    return Support(State.YES, note)


def inert(note: str) -> Support:
    """It is taken, and has no effect on one host."""
    return Support(State.NO_EFFECT, note)


def refused(note: str, *, is_everywhere: bool = False) -> Support:
    return Support(State.NO, note, is_everywhere=is_everywhere)


def swarm(support: Support) -> Elsewhere:
    """What a Swarm does with it."""
    return Elsewhere(swarm=support)


def not_on_swarm(note: str) -> Elsewhere:
    """A Swarm cannot do it. note: why, or what to write instead."""
    return swarm(refused(note))


def partly(note: str, refuses: Callable[[Any], bool]) -> Support:
    return Support(State.PARTLY, note, refuses)


def only(*allowed: Any, note: str = "") -> Support:
    """Other values are refused."""
    return partly(note or ", ".join(allowed), lambda value: value not in allowed)
