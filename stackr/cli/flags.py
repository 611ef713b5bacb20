"""The arguments and options that several commands have, by name."""

from __future__ import annotations

from typing import Annotated

import typer

from stackr.cli.arguments import seconds

__all__ = [
    "Index",
    "Pull",
    "QuietBuild",
    "Scale",
    "Timeout",
    "Wait",
    "WaitTimeout",
    "Words",
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
QuietBuild = Annotated[
    bool, typer.Option("--quiet-build", help="Build without showing how far it is")
]
