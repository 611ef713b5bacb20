"""`stackr completion`: the script by which a shell completes stackr's commands and options."""

from __future__ import annotations

from typing import Annotated

import typer

from stackr.cli.arguments import check_choice
from stackr.cli.shells import SCRIPTS

__all__ = ["completion"]


def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish")],
) -> None:
    """Print the completion script of a shell: eval "$(stackr completion bash)"."""
    check_choice("completion", shell, ("bash", "zsh", "fish"))
    typer.echo(SCRIPTS[shell], nl=False)
