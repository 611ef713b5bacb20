"""What in a plan of documents deserves a second look: the rules of `change.risk`, for services.

A Swarm refuses what `privileged` is about, and a stack is its name alone, so that `other-stack`
has no meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stackr.planner.change.risk import PAST, Finding, Subject, judged, of_specs
from stackr.planner.change.slot import Verdict
from stackr.planner.plan.model import Change, Risk
from stackr.planner.plan.outlook import affected_text
from stackr.planner.workloads.compare import Verdicts
from stackr.planner.workloads.dialect import Dialect, Rendered
from stackr.runtime.workloads import DocumentKind, Observation
from stackr.spec.decode import EXTENSION
from stackr.spec.model.project import Project

__all__ = ["document_risks"]

_STEP = re.compile(r"\.pre_start\.(\d+)$")
"""What the key of a step before a service ends with."""


def document_risks(
    changes: Iterable[Change],
    verdicts: Verdicts,
    rendered: Rendered,
    observation: Observation,
    dialect: Dialect,
) -> tuple[Risk, ...]:
    """Of these changes, each once; the stack's own policy says what becomes of each."""
    project = rendered.project
    changes = [*changes]
    renewed = {each.resource.name for each in changes if each.kind in PAST}
    stateful = _keep_data(renewed, verdicts, rendered, dialect)
    found: dict[Finding, None] = {}
    for change in changes:
        found |= dict.fromkeys(_of_change(change, stateful, verdicts))
    found |= dict.fromkeys(of_specs(_subjects(verdicts, rendered, observation, dialect)))
    is_extended = EXTENSION in project.extensions
    return judged(found, project.stackr.policy if is_extended else {})


def _keep_data(
    names: set[str], verdicts: Verdicts, rendered: Rendered, dialect: Dialect
) -> set[str]:
    """Those of services that keep data: as `x-stackr` says, else those with named volumes."""
    return {
        each.wanted.name
        for each in verdicts.of_kind(DocumentKind.SERVICE)
        if each.wanted.name in names - rendered.jobs
        and _is_stateful(rendered.project, each.wanted.key, dialect.attributes(each.wanted))
    }


def _is_stateful(project: Project, key: str, attributes: Mapping[str, Any]) -> bool:
    service = project.services.get(key)
    is_extended = service is not None and EXTENSION in service.extensions
    said = service.stackr.stateful if service is not None and is_extended else None
    mounts = attributes.get("volumes", ())
    named = any(m.get("type") in ("volume", "cluster") and m.get("source") for m in mounts)
    return named if said is None else said


def _of_change(change: Change, stateful: set[str], verdicts: Verdicts) -> Iterator[Finding]:
    resource, service = change.resource, change.resource.service
    if change.affects:
        keys = (e.wanted.key for e in verdicts.wanted if e.wanted.name == resource.name)
        message = f"network {resource.name} is created again: {affected_text(change.affects)}"
        yield "dependants-restarted", f"networks.{next(keys, resource.name)}", message
    if change.touched_by:
        message = f'service "{service}" restarts because of {", ".join(change.touched_by)}'
        yield "dependants-restarted", f"services.{service}.depends_on", message
    if resource.name in stateful:
        message = f'service "{service}" keeps data and {PAST[change.kind]}'
        yield "stateful-recreated", f"services.{service}", message


def _subjects(
    verdicts: Verdicts, rendered: Rendered, observation: Observation, dialect: Dialect
) -> Iterator[Subject]:
    """The services that are made or change."""
    for each in verdicts.of_kind(DocumentKind.SERVICE):
        if each.verdict is Verdict.KEEP:
            continue
        before: Mapping[str, Any] = {}
        if each.found is not None:
            before = dialect.attributes(dialect.normal(each.found, observation.names, each.wanted))
        now = dialect.attributes(each.wanted)
        image = rendered.images.get(each.wanted.name, "")
        name = _STEP.sub(r".pre_start[\1]", each.wanted.key)
        yield Subject(name, image, now, before, may_move=True)
