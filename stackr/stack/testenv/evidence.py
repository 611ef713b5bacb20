"""Ask the engine what it knows of an environment that failed, and make findings of it.

What cannot be had within a few seconds is left out; `containers_of` alone fails with the engine.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from stackr.errors import NotFound, StackrError
from stackr.executor.outcome import Failure, Outcome
from stackr.planner.plan.model import Action, Operation
from stackr.planner.plan.payloads import (
    AwaitWorkload,
    BuildImage,
    PullImage,
    RunStep,
    WaitFor,
)
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime, SupportsLogs, SupportsRawRequest
from stackr.runtime.types import ContainerState
from stackr.spec.model.project import Project
from stackr.stack.health_hint import start_period_hint
from stackr.stack.log_read import LogWindow, NoSink, read_logs, text_of, with_logs
from stackr.stack.testenv.findings import (
    Place,
    Readiness,
    Spoken,
    Suspect,
    in_order,
    last_check,
    problem_of,
)
from stackr.stack.testenv.timeline import Moment

__all__ = [
    *("OTHER_LINES", "OUTPUT_LINES", "PATIENCE_S", "ROOT_LINES"),
    *("Fault", "containers_of", "faults_of", "is_final_wait", "output_since", "place_of"),
    *("readiness_of", "state_of", "suspects_of"),
]

PATIENCE_S = 10.0
ROOT_LINES = 20
OTHER_LINES = 5
OUTPUT_LINES = 40
"""Of a log: the root cause's, those of others, and of all together."""


async def containers_of(runtime: Runtime, project: str) -> tuple[ContainerState, ...]:
    """Every container of the project, inspected, by name. Raises what the engine does."""
    listed = await runtime.list_containers(labels=[f"{labels.PROJECT}={project}"])
    inspected = await asyncio.gather(*(_inspected(runtime, c.id) for c in listed))
    found = [container for container in inspected if container is not None]
    return tuple(sorted(found, key=lambda container: container.name))


async def _inspected(runtime: Runtime, ref: str) -> ContainerState | None:
    try:
        return await runtime.inspect_container(ref)
    except NotFound:
        return None  # it has gone meanwhile


@dataclass(frozen=True, slots=True)
class Fault:
    """What the plan says of a service: message and hint, and the path of what it is about."""

    message: str
    hint: str
    attribute: str = ""


async def suspects_of(
    project: Project,
    containers: Sequence[ContainerState],
    outcome: Outcome | None,
    timeline: Sequence[Moment],
    runtime: Runtime,
) -> tuple[Suspect, ...]:
    """The services that failed, or that are not as they should be, the root cause first."""
    faults = faults_of(outcome.failed if outcome else ())
    suspects = [
        _suspect(project, name, faults.get(name), _worst(containers, name))
        for name in project.services
    ]
    needs = {name: service.depends_on for name, service in project.services.items()}
    ordered = in_order((s for s in suspects if s is not None), needs, timeline)
    return tuple(
        await asyncio.gather(
            *(
                _with_log(suspect, runtime, OTHER_LINES if place else ROOT_LINES)
                for place, suspect in enumerate(ordered)
            )
        )
    )


def faults_of(failed: Iterable[Failure]) -> dict[str, Fault]:
    faults: dict[str, Fault] = {}
    for failure in failed:
        operation, error = failure.operation, failure.error
        fault = Fault(error.message, error.hint or "", _attribute(operation))
        for service in _services(operation):
            faults.setdefault(service, fault)
    return faults


def _services(operation: Operation) -> tuple[str, ...]:
    if isinstance(operation.payload, (PullImage, BuildImage)):
        return operation.payload.services
    return (operation.resource.service,) if operation.resource.service else ()


def _attribute(operation: Operation) -> str:
    if isinstance(operation.payload, RunStep):
        return f"pre_start[{operation.payload.index}]"
    return {Action.PULL_IMAGE: "image", Action.BUILD_IMAGE: "build"}.get(operation.action, "")


def _worst(containers: Iterable[ContainerState], service: str) -> ContainerState | None:
    """The container of a service that is in trouble; the first where none is."""
    own = [c for c in containers if c.labels.get(labels.SERVICE) == service]
    return next((c for c in own if problem_of(c)), own[0] if own else None)


def _suspect(
    project: Project, service: str, fault: Fault | None, container: ContainerState | None
) -> Suspect | None:
    problem = problem_of(container) if container is not None else ""
    if fault is not None and container is not None and labels.HOOK in container.labels:
        problem = fault.message  # which says the step
    if fault is None and not problem:
        return None
    health = last_check(container) if container is not None else ""
    attribute = (fault.attribute if fault else "") or ("healthcheck" if health else "")
    return Suspect(
        service=service,
        container=container.name if container is not None else "",
        problem=problem or (fault.message if fault else ""),
        health=health,
        hint=(fault.hint if fault else "") or _hint(project, service, container),
        place=place_of(project, service, attribute),
    )


def _hint(project: Project, service: str, container: ContainerState | None) -> str:
    found = project.services.get(service)
    if found is None or container is None:
        return ""
    return start_period_hint(found, container)


def place_of(project: Project, service: str, attribute: str) -> Place | None:
    path = f"services.{service}" + (f".{attribute}" if attribute else "")
    try:
        position = project.position(path)
    except (StackrError, OSError):  # the files are read again, and may have gone
        return None
    return Place(position.file, position.line, position.column) if position else None


async def _with_log(suspect: Suspect, runtime: Runtime, lines: int) -> Suspect:
    if not suspect.container or not isinstance(runtime, SupportsLogs):
        return suspect
    log: list[str] = []
    with suppress(StackrError, TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            async for entry in runtime.logs(suspect.container, tail=lines):
                log.append(entry.line.decode(errors="replace").rstrip("\r"))
    return replace(suspect, log=tuple(log[-lines:]))


async def output_since(
    runtime: Runtime, containers: Sequence[ContainerState], since: float
) -> tuple[Spoken, ...]:
    """The last lines that these containers have written since then, in Unix seconds."""
    if not isinstance(runtime, SupportsLogs):
        return ()
    last: deque[Spoken] = deque(maxlen=OUTPUT_LINES)
    window = LogWindow(tail=OUTPUT_LINES, since=since)
    with suppress(StackrError, TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            lines = read_logs(with_logs(runtime), containers, window, NoSink())
            async for name, entry in lines:
                last.append(Spoken(name, text_of(entry)))
    return tuple(last)


def readiness_of(
    services: Iterable[str],
    outcome: Outcome | None,
    took_s: Mapping[str, float],
    failed: Mapping[str, str],
) -> tuple[Readiness, ...]:
    """How each service came up.

    took_s: when the wait for it ended. failed: what is wrong with those that came up, and failed
    before all were ready.
    """
    if outcome is None:
        return tuple(Readiness(name, skipped="it was not started") for name in services)
    faults = {name: fault.message for name, fault in faults_of(outcome.failed).items()}
    faults = {**failed, **faults}
    skipped: dict[str, str] = {}
    for skip in outcome.skipped:
        causes = {name for cause in skip.because for name in _services(cause)}
        for name in _services(skip.operation):
            others = ", ".join(sorted(causes - {name}))
            skipped.setdefault(name, f"waits for {others}" if others else "it was not started")
    for operation in outcome.cancelled:
        for name in _services(operation):
            skipped.setdefault(name, "it was given up")
    return tuple(
        Readiness(
            name,
            took_s.get(name, 0.0),
            faults.get(name, ""),
            skipped.get(name, "") if name not in faults else "",
        )
        for name in services
    )


def is_final_wait(operation: Operation) -> bool:
    """One of those that the plan ends with, for the service itself."""
    payload = operation.payload
    if isinstance(payload, AwaitWorkload):
        return True  # there is one for each service, whoever else waits
    return isinstance(payload, WaitFor) and not payload.needed_by


async def state_of(runtime: Runtime, project: str) -> dict[str, Any]:
    """What an inspection shows of everything that the project has, unmasked."""
    if not isinstance(runtime, SupportsRawRequest):
        return {}
    state: dict[str, Any] = {}
    filters = {"filters": f'{{"label":["{labels.PROJECT}={project}"]}}'}
    with suppress(StackrError, TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            listed: Any = await runtime.request_json(
                "GET", "/containers/json", query={**filters, "all": "1"}
            )
            state["containers"] = [
                await runtime.request_json("GET", f"/containers/{item['Id']}/json")
                for item in listed
            ]
            state["networks"] = await runtime.request_json("GET", "/networks", query=filters)
            volumes: Any = await runtime.request_json("GET", "/volumes", query=filters)
            state["volumes"] = volumes.get("Volumes") or []
    return state
