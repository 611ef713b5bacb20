"""Commands as the command line reads them, and shows their help.

Flags may be given a value, as Docker's commands allow: `--rm=false`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

from stackr.cli.applicable import check_applicable
from stackr.cli.completed import completed
from stackr.cli.help import command_help, write_help
from stackr.cli.options import NAMED, GlobalOptions, Parameter, given_options

__all__ = ["CommandGroup", "FlagCommand", "Parameter", "plain_flags"]

_TRUE = frozenset(("1", "t", "T", "true", "True", "TRUE"))
_FALSE = frozenset(("0", "f", "F", "false", "False", "FALSE"))


def plain_flags(
    args: Sequence[str], parameters: Iterable[Parameter], *, interspersed: bool
) -> list[str]:
    """The words of a command line, in which no flag has a value: `--rm=true` becomes `--rm`.

    A false one becomes the option's negation where it has one, else it takes back the flag. What is
    neither goes to the option that takes it: `--isolated=x` becomes `--isolated-name x`.
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
        elif value and name in NAMED and value not in _TRUE:
            words += [NAMED[name], value]
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


class FlagCommand(TyperCommand):
    """A command whose flags may have a value, and that refuses shared options it cannot honour."""

    def invoke(self, ctx: Any) -> Any:
        check_shared(ctx)
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        write_help(command_help(self, ctx), formatter)

    def get_params(self, ctx: Any) -> list[Parameter]:
        found = super().get_params(ctx)
        if ctx.resilient_parsing:  # a shell asks what may be typed
            completed(found)
        return found

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        interspersed = ctx.allow_interspersed_args
        return super().parse_args(
            ctx, plain_flags(args, self.get_params(ctx), interspersed=interspersed)
        )


class CommandGroup(TyperGroup):
    """A command that has commands of its own."""

    def get_params(self, ctx: Any) -> list[Parameter]:
        found = super().get_params(ctx)
        if ctx.resilient_parsing:
            completed(found)
        return found

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, plain_flags(args, self.get_params(ctx), interspersed=False))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        write_help(command_help(self, ctx), formatter)


def check_shared(ctx: Any) -> None:
    """Raises NotSupported for a shared option that means nothing to the command of a context."""
    options = ctx.find_root().obj
    if isinstance(options, GlobalOptions):
        given = list(given_options(options))
        if options.progress == "json":
            given.append(("--progress json", "json"))
        check_applicable(ctx.command_path.partition(" ")[2], given)
