"""The arguments and options that several commands have, by name; builds are refused."""

from __future__ import annotations

from typing import Annotated

import typer

from stackr.cli.arguments import seconds
from stackr.errors import NotSupported

__all__ = [
    "Build",
    "Index",
    "Pull",
    "Scale",
    "Timeout",
    "Wait",
    "WaitTimeout",
    "Words",
    "refuse_builds",
]

Words = Annotated[
    list[str] | None, typer.Argument(metavar="[FILE] [SERVICE]...", show_default=False)
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", "-t", metavar="DURATION", parser=seconds, help="For containers to stop"
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until all are running or healthy")]
WaitTimeout = Annotated[
    float | None,
    typer.Option(
        "--wait-timeout", metavar="DURATION", parser=seconds, help="How long to wait at most"
    ),
]
Scale = Annotated[
    list[str] | None, typer.Option("--scale", metavar="SERVICE=NUM", help="Replicas of a service")
]
Pull = Annotated[
    str | None, typer.Option("--pull", metavar="POLICY", help="always, missing or never")
]
Index = Annotated[int | None, typer.Option("--index", metavar="NUM", help="Which replica")]
Build = Annotated[bool, typer.Option("--build", hidden=True)]


def refuse_builds(command: str, *, build: bool, quiet_build: bool = False) -> None:
    """Raises NotSupported where a build is asked for."""
    for name, is_given in (("--build", build), ("--quiet-build", quiet_build)):
        if is_given:
            raise NotSupported(
                f"{command}: {name}: not supported: stackr does not build images yet"
            )
