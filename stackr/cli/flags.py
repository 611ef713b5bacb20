"""The arguments and options that several commands have, by name."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "Index",
    "Pull",
    "QuietBuild",
    "Scale",
    "Words",
]

Words = Annotated[
    list[str] | None, typer.Argument(metavar="[FILE] [SERVICE]...", show_default=False)
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
