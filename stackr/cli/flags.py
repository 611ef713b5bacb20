"""The arguments and options that several commands have, by name; builds are refused."""

from __future__ import annotations

from typing import Annotated

import typer

from stackr.cli.arguments import seconds
from stackr.errors import NotSupported

__all__ = [
    "Build",
    "ForceRecreate",
    "Index",
    "NoBuild",
    "NoDeps",
    "NoRecreate",
    "NoTrunc",
    "Pull",
    "QuietBuild",
    "QuietPull",
    "RecreateDependencies",
    "RemoveOrphans",
    "RenewAnonymousVolumes",
    "Scale",
    "Timeout",
    "Wait",
    "WaitTimeout",
    "Words",
    "Yes",
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
ForceRecreate = Annotated[
    bool, typer.Option("--force-recreate", help="Recreate all, changed or not")
]
NoRecreate = Annotated[bool, typer.Option("--no-recreate", help="Keep what exists, changed or not")]
RemoveOrphans = Annotated[
    bool, typer.Option("--remove-orphans", help="Remove containers of services that are gone")
]
Pull = Annotated[
    str | None, typer.Option("--pull", metavar="POLICY", help="always, missing or never")
]
NoDeps = Annotated[
    bool, typer.Option("--no-deps", help="Only the named services, not what they need")
]
Index = Annotated[int | None, typer.Option("--index", metavar="NUM", help="Which replica")]
NoTrunc = Annotated[bool, typer.Option("--no-trunc", help="Cut nothing")]
QuietPull = Annotated[bool, typer.Option("--quiet-pull", help="Pull without showing how far it is")]
NoBuild = Annotated[bool, typer.Option("--no-build", help="Build nothing, which stackr never does")]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Make volumes anew that changed, which loses their data")
]
RecreateDependencies = Annotated[
    bool, typer.Option("--always-recreate-deps", help="Recreate what the services need as well")
]
RenewAnonymousVolumes = Annotated[
    bool,
    typer.Option(
        "--renew-anon-volumes",
        "-V",
        help="Recreate with new anonymous volumes; the old ones go, with their data",
    ),
]
Build = Annotated[bool, typer.Option("--build", hidden=True)]
QuietBuild = Annotated[bool, typer.Option("--quiet-build", hidden=True)]


def refuse_builds(command: str, *, build: bool, quiet_build: bool = False) -> None:
    """Raises NotSupported where a build is asked for."""
    for name, is_given in (("--build", build), ("--quiet-build", quiet_build)):
        if is_given:
            raise NotSupported(
                f"{command}: {name}: not supported: stackr does not build images yet"
            )
