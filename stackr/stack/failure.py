"""Why a plan was not carried out: each root cause with the container's own last words.

The engine is asked for what it knows of the failed container (exit code, last lines of output);
what cannot be had is left out, so that the report itself never fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from stackr.errors import StackrError
from stackr.executor.outcome import Failure, Outcome
from stackr.planner.plan.model import Action, Operation, Source
from stackr.planner.plan.payloads import BuildImage, PullImage, RunStep, WaitFor
from stackr.planner.review.blame import blamed
from stackr.planner.review.provenance import source_of
from stackr.runtime.image_build import BuildFailed
from stackr.runtime.protocol import Runtime, SupportsLogs
from stackr.runtime.types import ContainerState
from stackr.spec.model.project import Project
from stackr.stack.bind_sources import folder_hint
from stackr.stack.health_hint import start_period_hint
from stackr.stack.port_owner import owner_of, taken_port

__all__ = ["Cause", "FailureReport", "failure_report", "report_of"]

_LOG_LINES = 10
_PATIENCE_S = 20.0
_RAN = (
    Action.START_CONTAINER,
    Action.RESTART_CONTAINER,
    Action.WAIT_FOR,
    Action.RUN_STEP,
)


@dataclass(frozen=True, slots=True)
class Cause:
    """One root cause. subject: whose it is, "" where the message says it.

    state: `exited with code 3, out of memory`, or "". log: the container's last lines, in order.
    attribute: what of the service it is about (`services.web.volumes[0]`), "" where that is not
    known; source: where it is written.
    """

    operation: Operation
    subject: str
    message: str
    hint: str | None
    state: str = ""
    log: tuple[str, ...] = ()
    attribute: str = ""
    source: Source | None = None
    excerpt: tuple[str, ...] = ()
    """Of the Dockerfile, around the step that failed."""


@dataclass(frozen=True, slots=True)
class FailureReport:
    """The whole of it: causes, and which operations were done, skipped and never begun."""

    project: str
    causes: tuple[Cause, ...]
    done: tuple[Operation, ...] = ()
    not_done: tuple[Operation, ...] = ()
    exit_code: int = 1
    warnings: tuple[Cause, ...] = field(default=())
    """Optional operations that failed; they are no reason to fail."""
    is_success: bool = False
    """Whether nothing but such failed."""


async def failure_report(
    outcome: Outcome, runtime: Runtime, project: Project | None = None, *, is_here: bool = False
) -> FailureReport:
    """Ask the engine about what failed in `outcome`, and the project's files where it stands.

    is_here: the engine is on this machine, whose processes may be in the way.
    """
    asked = await asyncio.gather(
        *(_cause(failure, runtime, project, is_here) for failure in outcome.failed)
    )
    return report_of(outcome, [_placed(cause, project) for cause in asked])


def report_of(outcome: Outcome, causes: Sequence[Cause]) -> FailureReport:
    """The report of a plan's outcome. causes: one for each failure, in their order."""
    fatal = [cause for cause in causes if not cause.operation.is_optional]
    failed = [failure.operation for failure in outcome.failed]
    skipped = [skipped.operation for skipped in outcome.skipped if skipped.because]
    not_done = sorted([*failed, *skipped, *outcome.cancelled], key=lambda operation: operation.id)
    return FailureReport(
        outcome.plan.project,
        tuple(fatal),
        tuple(sorted(outcome.done, key=lambda operation: operation.id)),
        tuple(not_done),
        max((f.error.exit_code for f in outcome.failed), default=1),
        tuple(cause for cause in causes if cause.operation.is_optional),
        outcome.is_success,
    )


async def _cause(
    failure: Failure, runtime: Runtime, project: Project | None, is_here: bool
) -> Cause:
    operation, error = failure.operation, failure.error
    cause = Cause(operation, _subject(operation), error.message, error.hint)
    if is_here and (taken := taken_port(error.message)) is not None:
        if owner := await owner_of(runtime, *taken):
            hint = f"{owner} has it: end that, or publish another host port"
            return replace(cause, hint=hint)
        return cause
    if is_here and (mended := folder_hint(error.message)) is not None:
        return replace(cause, hint=mended)
    if isinstance(error, BuildFailed):
        return replace(cause, log=error.log, excerpt=error.excerpt)
    if operation.action not in _RAN:
        return cause
    payload = operation.payload
    ref = payload.container if isinstance(payload, WaitFor) else operation.resource.name
    try:
        async with asyncio.timeout(_PATIENCE_S):
            inspection, lines = runtime.inspect_container(ref), _last_lines(ref, runtime)
            seen, log = await asyncio.gather(inspection, lines)
    except (StackrError, TimeoutError):
        return cause
    service = project.services.get(operation.resource.service) if project is not None else None
    advice = error.hint or (start_period_hint(service, seen) if service is not None else "")
    return replace(cause, hint=advice or None, state=_state(seen), log=log)


def _placed(cause: Cause, project: Project | None) -> Cause:
    """The cause with the attribute that the engine's words are about."""
    name, payload = _service_of(cause.operation), cause.operation.payload
    service = project.services.get(name) if project is not None else None
    if project is None or service is None:
        return cause
    if isinstance(payload, RunStep):
        path = f"pre_start[{payload.index}]"
    else:
        path = blamed(service, cause.message)
    if not path:
        return cause
    attribute = f"services.{name}.{path}"
    return replace(cause, attribute=attribute, source=source_of(project, attribute))


def _service_of(operation: Operation) -> str:
    """The service that an operation is for; of an image that several need, the first."""
    payload = operation.payload
    users = payload.services[:1] if isinstance(payload, PullImage | BuildImage) else ()
    return operation.resource.service or next(iter(users), "")


_NAMED = (Action.PULL_IMAGE, Action.BUILD_IMAGE, Action.PUSH_IMAGE, Action.WAIT_FOR)


def _subject(operation: Operation) -> str:
    """Pulls, builds and waits say themselves what they are about."""
    if operation.action in _NAMED:
        return ""
    resource = operation.resource
    service = f'service "{resource.service}": ' if resource.service else ""
    return f"{service}{resource.kind} {resource.name}: "


def _state(state: ContainerState) -> str:
    if state.state == "running":
        return f"running, {state.health}" if state.health else "running"
    if state.exit_code is None or state.state == "created":
        return ""
    memory = ", out of memory" if state.oom_killed else ""
    return f"{state.state} with code {state.exit_code}{memory}"


async def _last_lines(ref: str, runtime: Runtime) -> tuple[str, ...]:
    if not isinstance(runtime, SupportsLogs):
        return ()
    lines = [
        entry.line.decode(errors="replace").rstrip("\r")
        async for entry in runtime.logs(ref, tail=_LOG_LINES)
    ]
    return tuple(lines[-_LOG_LINES:])
