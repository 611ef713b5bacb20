"""The root command: a Typer group that imports a command's module when it is asked for."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from stackr.cli.options import shared_parameters
from stackr.cli.parameters import FlagCommand
from stackr.cli.registry import COMMANDS, REFUSED
from stackr.errors import NotSupported

__all__ = ["RootGroup", "load_command", "root_group"]


def root_group() -> RootGroup:
    """The `stackr` command, with the shared options; no command's module is imported yet."""
    return RootGroup(
        name="stackr",
        help="Bring up whole environments of containers from Compose files.",
        params=shared_parameters(),
        subcommand_metavar="COMMAND [ARGS]...",
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,
    )


class RootGroup(TyperGroup):
    """`stackr COMMAND`, where the commands are the rows of `COMMANDS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name = args[0]
        if name in COMMANDS:
            return name, self.get_command(ctx, name), args[1:]
        if name in REFUSED:
            raise NotSupported(f"{name}: not supported: {REFUSED[name]}")
        if not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            ctx.fail(f'unknown command "{name}"' + (f', did you mean "{near[0]}"?' if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@cache
def load_command(name: str) -> Any:
    """Import the command's module and build its parser, with the shared options at its end."""
    entry = COMMANDS[name]
    module = import_module(f"stackr.cli.commands.{entry.module}")
    target: Any = getattr(module, entry.attribute)
    if isinstance(target, TyperGroup | TyperCommand):
        return target
    if isinstance(target, typer.Typer):
        command = get_command(target)
        command.name = name
        return command
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    settings = getattr(module, "CONTEXT_SETTINGS", {})
    text = target.__doc__ or entry.help
    app.command(name, cls=FlagCommand, help=text, context_settings=settings)(target)
    command = get_command(app)
    taken = [spelling for parameter in command.params for spelling in parameter.opts]
    command.params.extend(shared_parameters(taken))
    return command
