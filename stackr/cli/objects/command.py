"""One command on single things: its parser, and how mistakes in its words end it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import typer
from typer import TyperException
from typer.main import get_command

from stackr.cli.options import GlobalOptions, shared_parameters
from stackr.cli.parameters import FlagCommand, Parameter
from stackr.cli.registry import NO_JSON
from stackr.errors import InvalidArgument, NotSupported, StackrError

__all__ = ["FlagError", "ObjectCommand", "engine_options", "parser_of", "refuse_stack_options"]


class FlagError(InvalidArgument):
    """An option that there is not, or a value that it does not take: 125, as with docker."""

    exit_code = 125


class ObjectCommand(FlagCommand):
    """A command whose words are read as the docker CLI reads them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, _without_equals(args, self.get_params(ctx)))
        except TyperException as error:
            raise _usage_error(ctx, error) from error

    def invoke(self, ctx: Any) -> Any:
        if ctx.find_root() is ctx.parent:
            refuse_stack_options(ctx.info_name, ctx.find_root().obj)
        return super(FlagCommand, self).invoke(ctx)


def parser_of(
    name: str, target: Callable[..., Any], text: str, settings: Mapping[str, Any]
) -> ObjectCommand:
    """The command of a function, with `--engine` at its end."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(
        name, cls=ObjectCommand, help=target.__doc__ or text, context_settings=dict(settings)
    )(target)
    command: Any = get_command(app)
    command.params.extend(engine_options())
    made: ObjectCommand = command
    return made


def engine_options() -> list[Parameter]:
    """`--engine`, which is all that these commands share with those of a stack."""
    return [each for each in shared_parameters() if each.name == "engine"]


def _without_equals(args: Sequence[str], parameters: Sequence[Parameter]) -> list[str]:
    """`-p=80:80` as `-p80:80`: Docker takes both."""
    shorts = {
        spelling
        for each in parameters
        for spelling in each.opts
        if len(spelling) == 2 and not getattr(each, "is_flag", False)
    }
    words = list(args)
    for place, word in enumerate(words):
        if word == "--":
            break
        if word[:2] in shorts and word[2:3] == "=":
            words[place] = word[:2] + word[3:]
    return words


def _usage_error(ctx: Any, error: Any) -> StackrError:
    """What is wrong with options is 125; with the number of arguments, 1."""
    path = ctx.command_path
    hint = f"see {path} --help"
    parameter = getattr(error, "param", None)
    if getattr(error, "possibilities", None) is not None or hasattr(error, "option_name"):
        return FlagError(_lowered(error.format_message()), hint=hint)
    if parameter is not None and parameter.param_type_name == "option":
        return FlagError(_lowered(error.format_message()), hint=hint)
    message = _lowered(error.format_message())
    if parameter is not None and message.startswith("missing argument"):
        message = f"'{path}' requires at least {_least(ctx)}"
    return InvalidArgument(message, hint=hint)


def _least(ctx: Any) -> str:
    needed = [
        each for each in ctx.command.params if each.param_type_name == "argument" and each.required
    ]
    return "1 argument" if len(needed) == 1 else f"{len(needed)} arguments"


def _lowered(message: str) -> str:
    text = message.rstrip(".")
    return text[:1].lower() + text[1:]


_TAKEN = ("engine", "ansi", "no_color")
"""Those shared options that are not about a stack."""


def refuse_stack_options(
    command: str, shared: GlobalOptions | None, taken: Sequence[str] = ()
) -> None:
    """Raises NotSupported for a shared option that is about a stack: this is about none.

    taken: fields of those that this command has all the same.
    """
    for each in fields(GlobalOptions) if shared is not None else ():
        if each.name not in (*_TAKEN, *taken) and getattr(shared, each.name):
            option = f"--{_OPTION_OF.get(each.name, each.name).replace('_', '-')}"
            why = NO_JSON[command] if each.name == "json" else _WHY.get(each.name, _ABOUT_A_STACK)
            raise NotSupported(f"{command}: {option}: not supported: {why}")


_ABOUT_A_STACK = "it is about a stack, and this command about none"
_OPTION_OF = {"files": "file", "profiles": "profile", "env_files": "env_file"}
_WHY = {
    "dry_run": "it does what it is asked at once",
    "progress": "its output is that of the docker CLI",
}
