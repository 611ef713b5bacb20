"""`stackr doctor`: what this host has of all that the engine needs, and how to get the rest."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from stackr.cli.options import options_of
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.host_checks import Finding, check_host

__all__ = ["doctor"]

_MARKS = {"ok": "ok", "warning": "!", "missing": "x"}


def doctor(
    ctx: typer.Context,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only what is missing or worth a warning")
    ] = False,
) -> int:
    """Say what of the host is missing for the embedded engine; nothing is started or changed.

    The exit code is 1 where something is missing, and 0 otherwise, also with warnings.
    """
    findings = check_host(EngineConfig.from_environment())
    missing = [finding for finding in findings if finding.verdict == "missing"]
    if options_of(ctx).json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
        return 1 if missing else 0
    for finding in findings:
        if not (quiet and finding.verdict == "ok"):
            _show(finding)
    if missing:
        typer.echo(f"{len(missing)} missing: {', '.join(each.subject for each in missing)}")
        return 1
    if not quiet:
        typer.echo("the engine has all that it needs")
    return 0


def _show(finding: Finding) -> None:
    typer.echo(f"{_MARKS[finding.verdict]:<3}{finding.subject:<18}{finding.found}")
    if finding.remedy:
        typer.echo(f"{'':<21}{finding.remedy}")
