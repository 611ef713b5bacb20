"""`stackr version`: the versions of stackr and of the Python that runs it."""

from __future__ import annotations

import json
import platform
from typing import Annotated

import typer

from stackr import __version__
from stackr.cli.options import options_of
from stackr.errors import InvalidArgument

__all__ = ["version"]


def version(
    ctx: typer.Context,
    short: Annotated[bool, typer.Option("--short", help="Only the version number")] = False,
    format_: Annotated[
        str, typer.Option("--format", "-f", metavar="KIND", help="pretty or json")
    ] = "pretty",
) -> None:
    """Show the version of stackr."""
    if format_ not in ("pretty", "json"):
        raise InvalidArgument(f'--format: unknown format "{format_}": pretty or json')
    if short:
        typer.echo(__version__)
    elif format_ == "json" or options_of(ctx).json:
        typer.echo(json.dumps({"version": __version__}))
    else:
        typer.echo(f"stackr version {__version__} (Python {platform.python_version()})")
