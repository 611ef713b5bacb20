"""Options about images that commands share; those that need a builder are refused."""

from __future__ import annotations

from typing import Annotated

import typer

from stackr.errors import NotSupported

__all__ = ["Build", "NoBuild", "QuietBuild", "QuietPull", "Yes", "refuse_builds"]

QuietPull = Annotated[bool, typer.Option("--quiet-pull", help="Pull without showing how far it is")]
NoBuild = Annotated[bool, typer.Option("--no-build", help="Build nothing, which stackr never does")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, which stackr never does here")]
Build = Annotated[bool, typer.Option("--build", hidden=True)]
QuietBuild = Annotated[bool, typer.Option("--quiet-build", hidden=True)]


def refuse_builds(command: str, *, build: bool, quiet_build: bool = False) -> None:
    """Raises NotSupported where a build is asked for."""
    for name, is_given in (("--build", build), ("--quiet-build", quiet_build)):
        if is_given:
            raise NotSupported(
                f"{command}: {name}: not supported: stackr does not build images yet"
            )
