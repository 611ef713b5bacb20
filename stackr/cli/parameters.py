"""Parameters that take their words as they are, without Typer's conversion.

Typer converts each value with pydantic, even one that is a string and stays one; to import that
takes longer than most commands do. Other types (numbers, choices) go through it when a value is
given.
Flags may be given a value, as Docker's commands allow: `--rm=false`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typer._coercion import RuntimeParam, build_runtime_param, resolve_type_descriptor
from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click import Context, Parameter
    from typer.core import TyperOption

__all__ = ["QuickCommand", "keep_words", "plain_flags"]

_TRUE = frozenset(("1", "t", "T", "true", "True", "TRUE"))
_FALSE = frozenset(("0", "f", "F", "false", "False", "FALSE"))


@dataclass(frozen=True)
class _Word(RuntimeParam):
    """A string stays the string that was given."""

    def _coerce_value(self, value: Any, param: Any, ctx: Context) -> Any:
        return value


@dataclass(frozen=True)
class _Words(RuntimeParam):
    """Several strings become a list of them."""

    def _coerce_value(self, value: Any, param: Any, ctx: Context) -> Any:
        return list(value)


@dataclass(frozen=True)
class _Late(RuntimeParam):
    """Typer's own conversion, prepared once there is a value."""

    def _coerce_value(self, value: Any, param: Any, ctx: Context) -> Any:
        descriptor = resolve_type_descriptor(self.annotation, self.parameter_info)
        return build_runtime_param(descriptor).coerce(value, param=param, ctx=ctx)


@dataclass(frozen=True)
class _Flag(_Late):
    """A flag is a boolean already, but where it comes from a variable of the environment."""

    def _coerce_value(self, value: Any, param: Any, ctx: Context) -> Any:
        if isinstance(value, bool):
            return value
        return super()._coerce_value(value, param, ctx)


_KINDS: dict[Any, type[RuntimeParam]] = {str: _Word, list[str]: _Words, bool: _Flag}


def keep_words(parameters: Iterable[Parameter]) -> None:
    """Spare strings and flags the conversion, and the others until they are given."""
    for parameter in parameters:
        descriptor = getattr(parameter, "type_descriptor", None)
        if descriptor is not None:
            kind = _KINDS.get(descriptor.annotation, _Late)
            runtime = kind(descriptor.parameter_info, descriptor.annotation)
            setattr(parameter, "_runtime_param", runtime)  # noqa: B010


def plain_flags(
    args: Sequence[str], parameters: Iterable[Parameter], *, interspersed: bool
) -> list[str]:
    """The words of a command line, in which no flag has a value: `--rm=true` becomes `--rm`.

    A false one becomes the option's negation where it has one, else it takes back the flag.
    interspersed: options may follow the first argument. Other words stay as they are.
    """
    options = {spelling: each for each in parameters for spelling in each.opts}
    words: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--" or (not interspersed and not _is_option(word)):
            return [*words, word, *rest]
        name, equals, value = word.partition("=")
        option = options.get(name)
        if option is None or not getattr(option, "is_flag", False):
            words.append(word)
            if rest and not equals and _takes_next(word, options):
                words.append(rest.pop(0))
        elif value in _FALSE:
            words = [each for each in words if each not in option.opts]
            words += option.secondary_opts[:1]
        else:
            words.append(name if value in _TRUE else word)
    return words


def _is_option(word: str) -> bool:
    return len(word) > 1 and word[0] == "-"


def _takes_next(word: str, options: dict[str, Parameter]) -> bool:
    """Whether the word ends with an option whose value is the next word: `-e`, `--env`, `-Te`."""
    for name, is_last in _names(word):
        option = options.get(name)
        if option is not None and not getattr(option, "is_flag", False):
            return is_last
    return False


def _names(word: str) -> Iterator[tuple[str, bool]]:
    """The options of a word, and whether each is the end of it."""
    if word[:2] == "--":
        yield word, True
    elif _is_option(word):
        for place, letter in enumerate(word[1:], start=2):
            yield f"-{letter}", place == len(word)


class QuickCommand(TyperCommand):
    """A command whose `--help` is spared it as well."""

    def get_help_option(self, ctx: Context) -> TyperOption | None:
        option = super().get_help_option(ctx)
        keep_words([option] if option is not None else [])
        return option

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        interspersed = ctx.allow_interspersed_args
        return super().parse_args(
            ctx, plain_flags(args, self.get_params(ctx), interspersed=interspersed)
        )
