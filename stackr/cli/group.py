"""The root command: a Typer group that imports a command's module when it is asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from stackr.cli.applicable import meaningless
from stackr.cli.nearest import nearest_command
from stackr.cli.options import Parameter, shared_parameters
from stackr.cli.parameters import CommandGroup, FlagCommand
from stackr.cli.registry import COMMANDS, REFUSED, sections
from stackr.errors import NotSupported

__all__ = ["RootGroup", "load_command", "root_group"]

_HELP = ("-h", "--help")


@cache
def root_group() -> RootGroup:
    """The `stackr` command, with the shared options; no command's module is imported yet.

    Typer keeps with each parameter how its words are read, which takes longer to find out than a
    quick command takes in all: so there is one.
    """
    return RootGroup(
        name="stackr",
        help="Bring up whole environments of containers from Compose files.",
        params=[*shared_parameters(), _version_parameter()],
        context_settings={"help_option_names": list(_HELP)},
        rich_markup_mode=None,
    )


class RootGroup(CommandGroup):
    """`stackr COMMAND`, where the commands are the rows of `COMMANDS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def sections(self) -> dict[str, list[tuple[str, str]]]:
        """The commands and their help lines, by what they are for."""
        return {
            title: [(name, COMMANDS[name].help) for name in names]
            for title, names in sections().items()
        }

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name = args[0]
        if name in COMMANDS:
            return name, self.get_command(ctx, name), args[1:]
        if name in REFUSED:
            raise NotSupported(f"{name}: not supported: {REFUSED[name]}")
        if not name.startswith("-"):
            near = nearest_command(name)
            ctx.fail(f'unknown command "{name}"' + (f', did you mean "{near}"?' if near else ""))
        return super().resolve_command(ctx, args)


@cache
def load_command(name: str) -> Any:
    """Import the command's module and build its parser, with the shared options at its end."""
    entry = COMMANDS[name]
    module = import_module(f"stackr.cli.commands.{entry.module}")
    target: Any = getattr(module, entry.attribute)
    if isinstance(target, TyperGroup | TyperCommand):
        return target
    if isinstance(target, typer.Typer):
        return _group(name, target)
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    settings = getattr(module, "CONTEXT_SETTINGS", {})
    text = target.__doc__ or entry.help
    app.command(name, cls=FlagCommand, help=text, context_settings=settings)(target)
    command = get_command(app)
    _add_shared(command, name)
    return command


def _group(name: str, target: typer.Typer) -> Any:
    target.info.cls = CommandGroup
    for info in target.registered_commands:
        info.cls = FlagCommand
    group: Any = get_command(target)
    group.name = name
    group.context_settings.setdefault("help_option_names", list(_HELP))
    for command in group.commands.values():
        _add_shared(command, name)
    return group


def _add_shared(command: Any, name: str) -> None:
    taken = [spelling for parameter in command.params for spelling in parameter.opts]
    command.params.extend(shared_parameters(taken, hidden=meaningless(name)))


def _version_parameter() -> Parameter:
    def show(ctx: Any, parameter: Parameter, value: bool) -> None:
        if value:
            version = load_command("version")
            with version.make_context("version", [], parent=ctx) as inner:
                ctx.exit(version.invoke(inner) or 0)

    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    @app.command()
    def declare(
        version: Annotated[bool, typer.Option("--version", "-v", help="Show the versions")] = False,
    ) -> None:
        """Only its parameter is used."""

    (parameter,) = get_command(app).params
    parameter.callback, parameter.expose_value = show, False
    return parameter
