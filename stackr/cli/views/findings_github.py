"""What GitHub Actions reads of a job's output: annotations at lines of files, and nothing else.

Source: GitHub documentation, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from stackr.stack.testenv.findings import Findings, Place, Suspect

__all__ = ["error_commands", "without_commands"]


def error_commands(findings: Findings, environ: Mapping[str, str] = os.environ) -> list[str]:
    """One `::error` a suspect, the root cause first; or one for the command alone."""
    if not findings.suspects:
        return [_error(findings.headline, {"title": f"stackr test: {findings.stack}"})]
    return [_annotation(suspect, findings.stack, environ) for suspect in findings.suspects]


def without_commands(lines: Sequence[str]) -> list[str]:
    """Lines of others, which must not be taken for commands."""
    token = f"stackr-{secrets.token_hex(16)}"
    return [f"::stop-commands::{token}", *lines, f"::{token}::"]


def _annotation(suspect: Suspect, stack: str, environ: Mapping[str, str]) -> str:
    health = f"; last health check {suspect.health}" if suspect.health else ""
    properties = {"title": f"stackr test: {stack}: {suspect.service}"}
    if suspect.place is not None:
        properties = {**_place(suspect.place, environ), **properties}
    return _error(f'service "{suspect.service}": {suspect.problem}{health}', properties)


def _place(place: Place, environ: Mapping[str, str]) -> dict[str, str]:
    """The file as GitHub names it: from the repository's root."""
    file = Path(place.file).absolute()
    workspace = environ.get("GITHUB_WORKSPACE", "")
    if workspace and file.is_relative_to(workspace):
        file = file.relative_to(workspace)
    else:
        file = Path(place.file)
    return {"file": str(file), "line": str(place.line), "col": str(place.column)}


def _error(message: str, properties: Mapping[str, str]) -> str:
    told = ",".join(f"{key}={_escaped_property(value)}" for key, value in properties.items())
    return f"::error {told}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
