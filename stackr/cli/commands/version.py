"""`stackr version`: the versions of stackr and of the Python that runs it."""

from __future__ import annotations

import json
import os
import platform
from typing import Annotated

import typer

from stackr import __version__
from stackr.cli.options import options_of
from stackr.errors import InvalidArgument
from stackr.warm.client import is_off
from stackr.warm.launch import running_servers

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
        typer.echo(f"warm process: {_warm()}")


def _warm() -> str:
    """What runs commands quickly: `pid 123`, `none runs`, `off: STACKR_WARM=0`."""
    if is_off():
        return f"off: STACKR_WARM={os.environ['STACKR_WARM']}"
    servers = running_servers()
    return ", ".join(f"pid {pid}" for pid in servers) or "none runs"
