"""`stackr ui`: the dashboard, on a terminal of its own."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.source import source_of
from stackr.cli.targets import Targets
from stackr.errors import InvalidArgument, InvalidProject, NotSupported
from stackr.spec.files import STDIN
from stackr.spec.model.project import Project
from stackr.stack.source import Source
from stackr.stack.stack import Stack

__all__ = ["shell_command", "ui"]

_SHELL = "command -v bash >/dev/null 2>&1 && exec bash; exec sh"


@dataclass(frozen=True, slots=True)
class UiArguments:
    """`stackr ui`."""

    targets: Annotated[Targets, Words("[FILE]...")] = field(default_factory=Targets)


@takes(UiArguments)
def ui(ctx: typer.Context, arguments: UiArguments) -> None:
    """Show the stack on a full screen: its state, load and logs, and what up would do.

    The keys are shown below. It needs a terminal, and Textual (the extra `ui`).
    """
    options, files = options_of(ctx), arguments.targets.files
    if arguments.targets.services:
        raise InvalidArgument(f"ui: {arguments.targets.services[0]}: a stack file is expected")
    if STDIN in (*options.files, *files):
        raise InvalidArgument("ui: the stack file is read again and again: it cannot be stdin")
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        raise InvalidArgument(
            "ui: it needs a terminal", hint="stackr ps, logs, stats and diff do not"
        )
    try:
        # Textual is an extra, and takes longer to import than all else.
        from stackr.ui.run import run_dashboard
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise NotSupported(
            "ui: Textual is not installed", hint=how_to_add_textual(Path(sys.prefix))
        ) from None
    if options.no_color or options.ansi == "never":
        os.environ["NO_COLOR"] = "1"  # as Textual is told
    source = source_of(options, files)
    stack = Stack(source.name(), source, _project(source), options.engine)
    run_dashboard(stack, partial(shell_command, stack.name, options.engine))


def _project(source: Source) -> Project | None:
    """The stack; None where its files are wrong, which the dashboard shows, and waits for."""
    try:
        found = source.find()
    except InvalidProject:
        return None
    return found if isinstance(found, Project) else None


def how_to_add_textual(prefix: Path) -> str:
    """The command that adds it to the environment in which stackr is. prefix: its folder."""
    if (prefix / "pipx_metadata.json").exists():
        return "pipx inject stackr textual"
    if (prefix / "uv-receipt.toml").exists():
        return "install it again with Textual: uv tool install --with textual, and what came after"
    return f"{shlex.quote(str(prefix / 'bin/python'))} -m pip install textual"


def shell_command(project: str, engine: str | None, service: str, number: int) -> list[str]:
    """A shell in a container, by a process of its own that has the terminal to itself."""
    shared = [f"--project-name={project}", *([f"--engine={engine}"] if engine else [])]
    index = [f"--index={number}"] if number else []
    return [sys.executable, "-m", "stackr", *shared, "exec", *index, service, "sh", "-c", _SHELL]
