"""`stackr version`: the versions of stackr, of the Python that runs it, and of the engine."""

from __future__ import annotations

import json
import os
import platform
from typing import Annotated, Any

import typer

from stackr.cli.arguments import check_plain
from stackr.cli.interrupts import run_interruptible
from stackr.cli.options import GlobalOptions, options_of
from stackr.errors import InvalidArgument, StackrError
from stackr.runtime.connect import connect
from stackr.runtime.protocol import SupportsRawRequest
from stackr.version import __version__
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
    """Show the versions of stackr and of the engine, which is not started for it."""
    if format_ not in ("pretty", "json"):
        raise InvalidArgument(f'--format: unknown format "{format_}": pretty or json')
    check_plain(options_of(ctx).json, {"--short": short})
    if short:
        typer.echo(__version__)
        return
    engine = _engine(options_of(ctx))
    if format_ == "json" or options_of(ctx).json:
        typer.echo(json.dumps({"version": __version__, "engine": engine}))
    else:
        typer.echo(f"stackr version {__version__} (Python {platform.python_version()})")
        typer.echo(_line(engine))
        typer.echo(f"warm process: {_warm()}")


def _engine(options: GlobalOptions) -> dict[str, str]:
    """`name`, `version` and `api_version`, or `error`: why they are not known."""

    async def ask() -> Any:
        async with await connect(options.engine, read_only=True, start=False) as runtime:
            if not isinstance(runtime, SupportsRawRequest):
                return {}
            return await runtime.request_json("GET", "/version")

    try:
        answer = run_interruptible(ask())
        return {
            "name": str((answer.get("Platform") or {}).get("Name") or "engine"),
            "version": str(answer.get("Version") or ""),
            "api_version": str(answer.get("ApiVersion") or ""),
        }
    except StackrError as error:
        return {"error": error.message}


def _line(engine: dict[str, str]) -> str:
    if "error" in engine:
        return engine["error"]
    return f"{engine['name']} version {engine['version']} (API {engine['api_version']})"


def _warm() -> str:
    """What runs commands quickly: `pid 123`, `none runs`, `off: STACKR_WARM=0`."""
    if is_off():
        return f"off: STACKR_WARM={os.environ['STACKR_WARM']}"
    servers = running_servers()
    return ", ".join(f"pid {pid}" for pid in servers) or "none runs"
