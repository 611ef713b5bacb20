"""The options that every command shares, accepted before the command's name and after it.

They are declared once. The root command and each sub-command carry the same declarations, and each
value that is met is recorded in one `GlobalOptions`; a command's own short option wins over a
shared one (`-f` of `logs` is `--follow`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NoReturn

import typer
from typer.main import get_command

from stackr.cli.parameters import Parameter
from stackr.errors import NotSupported

__all__ = ["GlobalOptions", "options_of", "refuse_compatibility", "shared_parameters"]

_PANEL = "Options of every command"


@dataclass(slots=True)
class GlobalOptions:
    """What the shared options say; empty or None where they were not given.

    files, profiles and env_files are in the order given; later ones override earlier ones.
    """

    files: list[str] = field(default_factory=list)
    project_name: str | None = None
    project_directory: str | None = None
    profiles: list[str] = field(default_factory=list)
    env_files: list[str] = field(default_factory=list)
    engine: str | None = None
    progress: str | None = None
    ansi: str | None = None
    no_color: bool = False
    json: bool = False
    dry_run: bool = False
    parallel: str | None = None
    all_resources: bool = False
    compatibility: bool = False

    def silent(self) -> GlobalOptions:
        """The same without progress, as a command's own `--quiet` asks for."""
        return replace(self, progress="quiet", json=False)


def options_of(ctx: typer.Context) -> GlobalOptions:
    """The shared options of this invocation."""
    options: GlobalOptions = ctx.find_root().ensure_object(GlobalOptions)
    return options


def shared_parameters(taken: Iterable[str] = ()) -> list[Parameter]:
    """The shared options as parameters of one command, less the spellings that it has itself."""
    own = set(taken)
    parameters = []
    for parameter in _DECLARED:
        left = [spelling for spelling in parameter.opts if spelling not in own]
        if not left:
            continue
        if len(left) < len(parameter.opts):
            parameter = copy.copy(parameter)
            parameter.opts = left
        parameters.append(parameter)
    return parameters


def _declare(
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--file", "-f", metavar="PATH", help="Stack file; several are merged in order"
        ),
    ] = None,
    project_name: Annotated[
        str | None, typer.Option("--project-name", "-p", metavar="NAME", help="Project name")
    ] = None,
    project_directory: Annotated[
        str | None,
        typer.Option("--project-directory", metavar="DIR", help="What relative paths start from"),
    ] = None,
    profiles: Annotated[
        list[str] | None, typer.Option("--profile", metavar="NAME", help="Profile to enable")
    ] = None,
    env_files: Annotated[
        list[str] | None,
        typer.Option("--env-file", metavar="PATH", help="Variables for the stack file"),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            metavar="ENGINE",
            help="embedded (default), docker, unix://PATH, tcp://HOST:PORT or ssh://HOST",
        ),
    ] = None,
    progress: Annotated[
        str | None,
        typer.Option("--progress", metavar="KIND", help="auto, tty, plain, json or quiet"),
    ] = None,
    ansi: Annotated[
        str | None, typer.Option("--ansi", metavar="WHEN", help="Colours: auto, always or never")
    ] = None,
    no_color: Annotated[bool, typer.Option("--no-color", help="The same as --ansi never")] = False,
    json: Annotated[bool, typer.Option("--json", help="The same as --progress json")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and change nothing")
    ] = False,
    parallel: Annotated[
        str | None,
        typer.Option("--parallel", metavar="NUM", help="Most calls at once; -1 for no limit"),
    ] = None,
    all_resources: Annotated[
        bool,
        typer.Option("--all-resources", help="Networks and volumes that no service uses as well"),
    ] = False,
    compatibility: Annotated[bool, typer.Option("--compatibility", hidden=True)] = False,
) -> None:
    """Only the parameters of this function are used."""


def _record(ctx: Any, parameter: Parameter, value: Any) -> Any:
    options: GlobalOptions = ctx.find_root().ensure_object(GlobalOptions)
    name = parameter.name or ""
    if value and name == "compatibility":
        refuse_compatibility("--compatibility")
    if isinstance(value, (list, tuple)):
        getattr(options, name).extend(value)
    elif value:
        setattr(options, name, value)
    return value


def refuse_compatibility(asked_by: str) -> NoReturn:
    """Raises NotSupported, for the option or the variable of the environment that asks for it."""
    raise NotSupported(
        f"{asked_by}: not supported: containers are named PROJECT-SERVICE-NUMBER, with hyphens"
    )


def _declarations() -> Sequence[Parameter]:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(_declare)
    parameters = get_command(app).params
    for parameter in parameters:
        parameter.callback = _record
        parameter.expose_value = False
    return parameters


_DECLARED = _declarations()
