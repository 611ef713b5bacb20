"""The options that every command shares, accepted before the command's name and after it.

They are declared once. The root command and each sub-command carry the same declarations, and each
value that is met is recorded in one `GlobalOptions`; a command's own short option wins over a
shared one (`-f` of `logs` is `--follow`).
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NoReturn, TypeAlias

import typer
from typer.main import get_command

from stackr.errors import InvalidArgument, NotSupported

__all__ = [
    *("NAMED", "TIMINGS", "GlobalOptions", "Parameter", "given_options", "is_shared"),
    *("options_of", "refuse_compatibility", "shared_parameters"),
]

NAMED = {"--isolated": "--isolated-name"}
"""Flags that may have a value, and the options that are given it."""
TIMINGS = "up --timings shows where the time went"
Parameter: TypeAlias = Any
"""An option or an argument, whose class Typer does not name; `opts` and `secondary_opts` are its
spellings (`--tty`, `--no-tty`)."""


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
    isolated: bool = False
    isolated_name: str | None = None

    def silent(self) -> GlobalOptions:
        """The same without progress, as a command's own `--quiet` asks for."""
        return replace(self, progress="quiet", json=False)


def options_of(ctx: typer.Context) -> GlobalOptions:
    """The shared options of this invocation."""
    options: GlobalOptions = ctx.find_root().ensure_object(GlobalOptions)
    return options


def shared_parameters(taken: Iterable[str] = (), *, hidden: Container[str] = ()) -> list[Parameter]:
    """The shared options as parameters of one command, less the spellings that it has itself.

    hidden: fields of those that mean nothing to it: they are read, so that they can be refused.
    """
    own = set(taken)
    parameters = []
    for declared in _DECLARED:
        left = [spelling for spelling in declared.opts if spelling not in own]
        if left:
            parameter = copy.copy(declared)
            parameter.opts = left
            parameter.hidden = declared.hidden or declared.name in hidden
            parameters.append(parameter)
    return parameters


def is_shared(parameter: Parameter) -> bool:
    """Whether a parameter is one of those that every command has."""
    return parameter.callback is _record


def given_options(options: GlobalOptions) -> Iterator[tuple[str, str]]:
    """The first spelling and the field of each shared option that was given."""
    for parameter in _DECLARED:
        if getattr(options, parameter.name or ""):
            yield parameter.opts[0], parameter.name or ""


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
    isolated: Annotated[
        bool,
        typer.Option(
            "--isolated",
            metavar="[=NAME]",
            help="This folder's own copy of the stack, of its own name, ports and volumes",
        ),
    ] = False,
    isolated_name: Annotated[
        str | None, typer.Option(NAMED["--isolated"], metavar="NAME", hidden=True)
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
    if value and name == "profiles":
        _check_profiles(value)
    if isinstance(value, (list, tuple)):
        getattr(options, name).extend(value)
    elif value:
        setattr(options, name, value)
    return value


def _check_profiles(names: Iterable[str]) -> None:
    """`up --profile` once had no value: what stood behind it then is not taken for a name."""
    for name in names:
        if name.startswith("-") or name.endswith((".yml", ".yaml")):
            raise InvalidArgument(
                f'--profile: "{name}": the name of a profile is expected', hint=TIMINGS
            )


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
