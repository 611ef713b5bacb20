"""The dossier of a failed environment: all that is known of it, as files that hold no secret.

    summary.txt       what is shown on the screen
    findings.json     the same, for programs
    junit.xml         a case for each service's readiness and one for the command
    timeline.txt      every moment
    config.yaml       the stack as it was resolved (times in seconds, sizes in bytes)
    plan.json         what was to be done
    state.json        every container, network and volume, as an inspection shows them
    environment.env   what the command was told
    versions.json     of stackr, the engine and the host
    logs/             the whole output of each container

What cannot be had or written is left out, and said.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stackr.errors import StackrError
from stackr.planner.desired.config_hash import sparse
from stackr.planner.plan.model import Plan
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import Workloads
from stackr.spec.model.project import Project
from stackr.spec.yaml_text import to_yaml
from stackr.stack.testenv.files import write_whole
from stackr.stack.testenv.findings import Findings
from stackr.stack.testenv.junit import junit_xml
from stackr.stack.testenv.redaction import Redactor
from stackr.stack.testenv.variables import dotenv
from stackr.version import __version__

__all__ = ["FILES", "config_tree", "versions", "write_dossier", "write_junit"]

FILES = (
    *("summary.txt", "findings.json", "junit.xml", "timeline.txt", "config.yaml", "plan.json"),
    *("state.json", "environment.env", "versions.json", "logs/*.log"),
)
"""All that is ever written."""


def write_dossier(
    folder: Path,
    findings: Findings,
    redactor: Redactor,
    *,
    summary: str,
    findings_json: Mapping[str, Any],
    started_at: float,
    project: Project,
    plan: Plan | None,
    state: Mapping[str, Any],
    environment: Mapping[str, str],
    versions: Mapping[str, Any],
) -> list[str]:
    """Write what there is; returns what could not be written. findings, summary: masked already."""

    def masked_json(value: Any) -> str:
        return _json(redactor.tree(value))

    made: dict[str, Callable[[], str]] = {
        "summary.txt": lambda: summary,
        "findings.json": lambda: _json(findings_json),
        "junit.xml": lambda: junit_xml(findings, started_at=started_at),
        "timeline.txt": lambda: _timeline(findings),
        "config.yaml": lambda: _yaml(redactor.tree(config_tree(project))),
        "plan.json": lambda: masked_json(plan.to_json() if plan is not None else None),
        "state.json": lambda: masked_json(state),
        "environment.env": lambda: dotenv(redactor.tree(environment)),
        "versions.json": lambda: masked_json(versions),
    }
    return [problem for name, make in made.items() if (problem := _write(folder / name, make))]


def write_junit(folder: Path, findings: Findings, *, started_at: float) -> list[str]:
    """The report of a run that succeeded."""
    problem = _write(folder / "junit.xml", lambda: junit_xml(findings, started_at=started_at))
    return [problem] if problem else []


def _write(path: Path, make: Callable[[], str]) -> str:
    try:
        write_whole(path, make())
    except OSError as error:
        return f"{path}: {error.strerror}"
    except (ValueError, RecursionError, StackrError) as error:
        return f"{path}: {error}"
    return ""


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def _yaml(tree: dict[str, Any]) -> str:
    return to_yaml(tree)


def _timeline(findings: Findings) -> str:
    return "".join(
        f"{moment.at_s:10.3f}  {'!' if moment.is_bad else ' '} {moment.text}\n"
        for moment in findings.timeline
    )


def config_tree(project: Project) -> dict[str, Any]:
    """The project as it was resolved, without what its secrets hold."""
    tree: dict[str, Any] = {"name": project.name, "services": {}}
    for name, service in sorted(project.services.items()):
        tree["services"][name] = {k: v for k, v in sparse(service).items() if k != "name"}
    for section in ("networks", "volumes", "secrets", "configs"):
        items: Mapping[str, Any] = getattr(project, section)
        if items:
            tree[section] = {name: sparse(item) for name, item in sorted(items.items())}
    for secret in tree.get("secrets", {}).values():
        secret.pop("content", None)
    return tree


async def versions(engine: Runtime | Workloads) -> dict[str, Any]:
    """Of stackr, its Python, the host and the engine."""
    told: dict[str, Any] = {
        "stackr": __version__,
        "python": platform.python_version(),
        "kernel": f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        "host": platform.freedesktop_os_release().get("PRETTY_NAME", "")
        if Path("/etc/os-release").exists()
        else "",
    }
    try:
        told["engine"] = asdict(await engine.info())
    except StackrError as error:
        told["engine"] = {"error": error.message}
    return told
