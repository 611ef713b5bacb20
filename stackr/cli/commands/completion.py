"""`stackr completion`: the script by which a shell completes stackr's commands and options."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from stackr.cli.arguments import check_choice

__all__ = ["completion"]


def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish")],
) -> None:
    """Print the completion script of a shell: eval "$(stackr completion bash)"."""
    check_choice("completion", shell, ("bash", "zsh", "fish"))
    typer.echo(
        get_completion_script(prog_name="stackr", complete_var="_STACKR_COMPLETE", shell=shell)
    )
