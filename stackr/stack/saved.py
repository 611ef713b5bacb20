"""Write a plan to a file, for `stackr apply`."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stackr.errors import InvalidArgument, StackrError
from stackr.planner.desired.project import Desired
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.review.saved import (
    document_prints,
    host_prints,
    options_of,
    saved_plan,
    unsealed,
)
from stackr.spec.session import LoadOptions
from stackr.stack.goal import Goal
from stackr.stack.history import who
from stackr.stack.planning import desire
from stackr.stack.source import Source
from stackr.stack.workloads.planning import Outlook
from stackr.text import parse_json
from stackr.version import __version__

__all__ = [
    "MAX_BYTES",
    "document_plan_text",
    "parse_plan",
    "plan_text",
    "read_plan",
    "save_document_plan",
    "save_plan",
    "saved_goal",
    "saved_source",
]

MAX_BYTES = 64 << 20
"""Of a plan; what is longer is none."""
_HINT = "a plan is written by: stackr diff --out plan.json"


def parse_plan(data: bytes, name: str) -> dict[str, Any]:
    """The document of a plan that was saved. name: of its file, for errors.

    Raises InvalidArgument for what is no plan of this version, or was changed.
    """
    try:
        return unsealed(parse_json(data))
    except ValueError as error:
        raise InvalidArgument(f"{name}: it is not JSON", hint=_HINT) from error
    except InvalidArgument as error:
        raise InvalidArgument(f"{name}: {error.message}", hint=error.hint or _HINT) from error


def read_plan(plan: str | Path | bytes) -> tuple[dict[str, Any], str]:
    """The document of a saved plan, by its path or as its text, and what errors call it.

    Raises as `parse_plan`, and StackrError where the file cannot be read.
    """
    if isinstance(plan, bytes):
        return parse_plan(plan, "the plan"), "the plan"
    try:
        with Path(plan).open("rb") as file:
            return parse_plan(file.read(MAX_BYTES), str(plan)), str(plan)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StackrError(f"{plan}: {reason}", hint=_HINT) from error


def saved_source(document: Mapping[str, Any], name: str) -> Source:
    """Where the stack is written that a plan was made for."""
    try:
        command = document["command"]
        return Source(
            LoadOptions(
                files=tuple(command["files"]),
                project_name=command["project_name"],
                project_directory=command["project_directory"],
                profiles=tuple(command["profiles"]),
                env_files=tuple(command["env_files"]),
            ),
            isolated=command.get("isolated"),
        )
    except (KeyError, TypeError) as error:
        raise InvalidArgument(f"{name}: the plan is damaged", hint=_HINT) from error


def saved_goal(document: Mapping[str, Any], name: str, source: Source, engine: str | None) -> Goal:
    """What a plan reaches, made from the stack's files as they are now."""
    try:
        options = options_of(document)
        project = replace(source, engine=engine).load(options.services)
        wanted = desire(project, options, engine=engine)
    except (KeyError, TypeError) as error:
        raise InvalidArgument(f"{name}: the plan is damaged", hint=_HINT) from error
    return Goal(project, wanted, options, action="apply", saved=document)


def save_plan(
    path: str,
    plan: Plan,
    wanted: Desired,
    observed: Observed,
    up_options: UpOptions,
    source: Source,
) -> None:
    """Write the plan of the stack that `source` names; the file is there whole, or not at all.

    Raises StackrError.
    """
    _write(Path(path), plan_text(plan, wanted, observed, up_options, source))


def plan_text(
    plan: Plan, wanted: Desired, observed: Observed, up_options: UpOptions, source: Source
) -> str:
    """What is in such a file: the plan, and the world that it is for."""
    facts = _facts(wanted.project, source)
    prints = host_prints(plan, wanted, observed, facts["key"])
    return _text(saved_plan(plan, prints, up_options, **facts))


def save_document_plan(
    path: str, plan: Plan, seen: Outlook, up_options: UpOptions, source: Source
) -> None:
    """As `save_plan`, of a plan for a cluster."""
    _write(Path(path), document_plan_text(plan, seen, up_options, source))


def document_plan_text(plan: Plan, seen: Outlook, up_options: UpOptions, source: Source) -> str:
    """As `plan_text`, of a plan for a cluster."""
    facts = _facts(seen.wanted.project.name, source)
    key = facts["key"]
    prints = document_prints(plan, seen.wanted, seen.observation, key, seen.digests)
    return _text(saved_plan(plan, prints, up_options, **facts))


def _facts(project: str, source: Source) -> dict[str, Any]:
    """How the stack was loaded, when and by whom, and what fingerprints are made with."""
    return {
        "command": {
            "files": list(source.options.files),
            **_named(source, project),
            "project_directory": source.options.project_directory,
            "profiles": list(source.options.profiles),
            "env_files": list(source.options.env_files),
        },
        "made": {"at": round(time.time(), 3), "by": who(), "stackr": __version__},
        "key": secrets.token_hex(16),
    }


def _named(source: Source, project: str) -> dict[str, str]:
    """The stack's name, and whose copy of it is meant."""
    copy = source.copy()
    if copy is None:
        return {"project_name": project}
    return {"project_name": copy.stack, "isolated": copy.name}


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> None:
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise StackrError(
            f"{path}: cannot save the plan: {(error.strerror or '').lower()}"
        ) from error
