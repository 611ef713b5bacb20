"""From an options dataclass to a command: its parameters, and the dataclass made of their values.

The command line's only reader of `stackr.options`. What is declared there becomes a parameter of
Typer's; what needs more than a declaration (the words that are files and services, a group of
options of another layer) is declared with what is here.
"""

from __future__ import annotations

import functools
import inspect
import os
import time
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

import typer

from stackr.cli.arguments import (
    is_set,
    parse_moment,
    parse_pull,
    parse_rmi,
    parse_scale,
    parse_span,
    parse_tail,
    seconds,
)
from stackr.cli.targets import Targets, split_targets
from stackr.errors import InvalidArgument
from stackr.options import Choice, Contradiction, Option, declared

__all__ = ["Argument", "Group", "Words", "takes"]

A = TypeVar("A")
Values: TypeAlias = Mapping[str, Any]


_OWN = "own_"
"""Before a parameter's name: those of a command are kept apart by it from those that all share."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of the command line that are stack files and services."""

    metavar: str = "[FILE] [SERVICE]..."
    help: str = ""


@dataclass(frozen=True, slots=True)
class Argument:
    """A word that is no option; of a field that is a tuple, all that are left.

    parse: makes the field's value of the word.
    """

    metavar: str
    parse: Callable[[str], Any] | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Options of a dataclass within another one: these fields, in this order, or () for all.

    help: in place of what is declared, by spelling.
    """

    names: tuple[str, ...]
    help: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Reader:
    """One field: its parameters, and its value from theirs; MISSING where none is given."""

    name: str
    parameters: tuple[inspect.Parameter, ...]
    read: Callable[[Values], Any]


def takes(
    options: type[A], *, before: Mapping[str, str] | None = None
) -> Callable[[Callable[[typer.Context, A], Any]], Callable[..., Any]]:
    """Make a command of a function that takes the context and these options.

    before: the spelling of an option, and of the one before which `--help` shows it.
    """

    def made(function: Callable[[typer.Context, A], Any]) -> Callable[..., Any]:
        readers = tuple(_readers(options))

        @functools.wraps(function)
        def command(ctx: typer.Context, **values: Any) -> Any:
            own = {name.removeprefix(_OWN): value for name, value in values.items()}
            return function(ctx, _built(options, readers, own, ctx.info_name or ""))

        parameters = [each for reader in readers for each in reader.parameters]
        _reorder(parameters, before or {})
        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        command.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
        command.__annotations__ = {}
        return command

    return made


def _reorder(parameters: list[inspect.Parameter], before: Mapping[str, str]) -> None:
    def place(spelling: str) -> int:
        return next(n for n, p in enumerate(parameters) if spelling in _spellings(p))

    for moved, follower in before.items():
        parameter = parameters.pop(place(moved))
        parameters.insert(place(follower), parameter)


def _spellings(parameter: inspect.Parameter) -> tuple[str, ...]:
    info = get_args(parameter.annotation)[1]
    return (info.default, *(info.param_decls or ())) if hasattr(info, "default") else ()


def _built(options: type[A], readers: tuple[_Reader, ...], values: Values, command: str) -> A:
    try:
        found = ((reader.name, reader.read(values)) for reader in readers)
        return options(**{name: value for name, value in found if value is not MISSING})
    except Contradiction as error:
        raise InvalidArgument(f"{command}: {error.message}", hint=error.hint) from error


def _readers(
    options: Any, names: tuple[str, ...] = (), help: Mapping[str, str] | None = None
) -> Iterator[_Reader]:
    """names: of the fields that count, in this order; () for all."""
    known = {each.name: each for each in fields(options)}
    for name in names or known:
        kind, declaration = declared(options).get(name, (None, None))
        match declaration:
            case Option():
                yield _of_option(known[name], kind, declaration, help or {})
            case Choice():
                yield _of_choice(known[name], declaration, help or {})
            case Group():
                yield _of_group(known[name], kind, declaration)
            case Argument():
                yield _of_argument(known[name], kind, declaration)
            case Words():
                yield _of_words(name, declaration)
            case _:
                pass  # no option says it


def _of_group(own: Field[Any], kind: type, group: Group) -> _Reader:
    readers = tuple(_readers(kind, group.names, group.help))

    def read(values: Values) -> Any:
        found = ((reader.name, reader.read(values)) for reader in readers)
        return kind(**{name: value for name, value in found if value is not MISSING})

    return _Reader(own.name, tuple(p for reader in readers for p in reader.parameters), read)


def _of_words(name: str, words: Words) -> _Reader:
    argument = typer.Argument(metavar=words.metavar, help=words.help or None, show_default=False)
    parameter = _parameter("words", list[str] | None, argument, None)

    def read(values: Values) -> Targets:
        return split_targets(values["words"])

    return _Reader(name, (parameter,), read)


def _of_argument(own: Field[Any], kind: Any, argument: Argument) -> _Reader:
    is_required = own.default is MISSING
    shown = {} if is_required else {"show_default": False}
    many = get_origin(_without_none(kind)) is tuple
    annotation: Any = list[str] if many else (kind if argument.parse is None else str)
    if many and not is_required:
        annotation = list[str] | None
    default = inspect.Parameter.empty if is_required else (None if many else own.default)
    info: Any = typer.Argument(metavar=argument.metavar, **shown)  # type: ignore[arg-type]

    def read(values: Values) -> Any:
        value = values[own.name]
        if many:
            return tuple(value) if value else MISSING
        return value if argument.parse is None else argument.parse(value)

    return _Reader(own.name, (_parameter(own.name, annotation, info, default),), read)


def _of_choice(own: Field[Any], choice: Choice, help: Mapping[str, str]) -> _Reader:
    names = {value: f"{own.name}_{number}" for number, value in enumerate(choice.flags)}
    parameters = tuple(
        _parameter(names[value], bool, _typer_option(option, help), False)
        for value, option in choice.flags.items()
    )

    def read(values: Values) -> Any:
        chosen = [value for value, name in names.items() if values[name]]
        if len(chosen) > 1:
            first, second = (choice.flags[value].spellings[0] for value in chosen[:2])
            raise Contradiction(f"{first} and {second} cannot be combined")
        return chosen[0] if chosen else MISSING

    return _Reader(own.name, parameters, read)


def _of_option(own: Field[Any], kind: Any, option: Option, help: Mapping[str, str]) -> _Reader:
    form = _form(kind, option)
    default = own.default if form.keeps_default else form.empty
    parameter = _parameter(own.name, form.annotation, _typer_option(option, help, form), default)

    def read(values: Values) -> Any:
        value = values[own.name]
        if option.variable and not value and is_set(option.variable, os.environ):
            value = True
        if option.turns_off:
            return not value
        if value is None or (not form.keeps_default and value == form.empty):
            return MISSING
        return form.read(value)

    return _Reader(own.name, (parameter,), read)


@dataclass(frozen=True, slots=True)
class _Form:
    """How Typer reads an option's words, and what becomes of what it has read.

    keeps_default: the field's default is the parameter's, and is shown. empty: the parameter's
    value where the option is not given, otherwise.
    """

    annotation: Any
    read: Callable[[Any], Any] = lambda value: value
    empty: Any = None
    parser: Callable[[Any], Any] | None = None
    keeps_default: bool = False


_KINDS: Mapping[str, Callable[[str], _Form]] = {
    "span": lambda name: _Form(str | None, lambda text: parse_span(name, text)),
    "seconds": lambda name: _Form(float | None, parser=seconds),
    "pull": lambda name: _Form(str | None, parse_pull),
    "rmi": lambda name: _Form(str | None, parse_rmi),
    "tail": lambda name: _Form(str, parse_tail, empty="all"),
    "moment": lambda name: _Form(
        str | None, lambda text: parse_moment(name, text, now=time.time())
    ),
}
"""How the words of a kind are read, by the option's name."""


def _form(kind: Any, option: Option) -> _Form:
    if option.kind:
        return _KINDS[option.kind](option.spellings[0])
    inner = _without_none(kind)
    if get_origin(inner) is tuple:
        return _Form(list[str] | None, tuple)
    if get_origin(inner) in (Mapping, dict, _MAPPING):
        return _Form(list[str] | None, lambda words: parse_scale(words, option=option.spellings[0]))
    if inner is bool:
        return _Form(bool, empty=False, keeps_default=not option.turns_off)
    if get_origin(inner) is Literal:
        return _Form(str | None)
    return _Form(kind, keeps_default=True)


_MAPPING = get_origin(Mapping[str, int])


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        inner = [each for each in get_args(kind) if each is not type(None)]
        return inner[0] if len(inner) == 1 else kind
    return kind


def _typer_option(option: Option, help: Mapping[str, str], form: _Form | None = None) -> Any:
    more: dict[str, Any] = {}
    if form is not None and form.parser is not None:
        more["parser"] = form.parser
    if "/" in option.spellings[0]:
        more["show_default"] = False
    return typer.Option(
        *option.spellings,
        metavar=option.metavar,
        help=help.get(option.spellings[0], option.help) or None,
        hidden=option.hidden,
        **more,
    )


def _parameter(name: str, kind: Any, info: Any, default: Any) -> inspect.Parameter:
    annotation = Annotated[kind, info]
    return inspect.Parameter(
        f"{_OWN}{name}", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
