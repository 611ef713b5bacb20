"""What is told of a run at its end: on the screen, to GitHub, as JSON, and in files."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from stackr.executor.outcome import Outcome
from stackr.planner.plan.model import Plan
from stackr.spec.model.project import Project
from stackr.stack.context import Context
from stackr.stack.events import EnvironmentFailed
from stackr.stack.testenv.dossier import write_dossier, write_junit
from stackr.stack.testenv.evidence import readiness_of
from stackr.stack.testenv.findings import CommandResult, Findings, Spoken, Suspect
from stackr.stack.testenv.options import EnvironmentOptions
from stackr.stack.testenv.redaction import Redactor
from stackr.stack.testenv.site import Evidence, Logs
from stackr.stack.testenv.summary import findings_json, findings_lines
from stackr.stack.testenv.timeline import Timeline

__all__ = ["Report"]

_PATIENCE_S = 30.0
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass(slots=True)
class Report:
    """What a run has gathered; `failed` or `succeeded` tells it."""

    context: Context
    arguments: EnvironmentOptions
    stack: str
    project: Project
    redactor: Redactor
    timeline: Timeline
    started_at: float = field(default_factory=time.time)
    plan: Plan | None = None
    outcome: Outcome | None = None
    waits_s: dict[str, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    logs: Logs | None = None

    def open_logs(self, open: Callable[[Path, Redactor], Logs]) -> None:
        """Keep the containers' output from now on, where there is a folder for it."""
        folder = self.arguments.artifacts
        if folder is None:
            return
        try:
            self.logs = open(folder / "logs", self.redactor)
        except OSError as error:
            self._warn([f"logs are not kept: {folder}: {error.strerror}"])

    async def forget(self) -> None:
        """Nothing is to be told."""
        if self.logs is not None:
            await self.logs.discard()

    async def succeeded(self, command: CommandResult | None) -> None:
        await self.forget()
        if self.arguments.artifacts is not None:
            findings = _masked(self._findings("", command), self.redactor)
            self._warn(write_junit(self.arguments.artifacts, findings, started_at=self.started_at))

    async def failed(
        self, evidence: Evidence, headline: str, command: CommandResult | None
    ) -> None:
        """Gather the evidence while the environment is still there, and tell it.

        command: None where it was not run.
        """
        suspects: tuple[Suspect, ...] = ()
        output: tuple[Spoken, ...] = ()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                if problem := await evidence.look(self.timeline):
                    self._warn([f"the engine does not tell of its containers: {problem}"])
                suspects = await evidence.suspects(
                    self.project, self.outcome, self.timeline.moments
                )
                if command is not None:
                    output = await evidence.output_since(time.time() - command.took_s)
        except TimeoutError:
            self._warn(["the engine did not answer in time: the report is not complete"])
        if suspects and command is None:
            headline = f'{headline}: service "{suspects[0].service}" {suspects[0].problem}'
        found = replace(self._findings(headline, command, suspects), output=output)
        findings = _masked(found, self.redactor)
        if self.arguments.artifacts is not None:
            await self._write(evidence, findings)
        artifacts = str(self.arguments.artifacts or "")
        self.context.report(EnvironmentFailed(findings, artifacts))

    def _findings(
        self, headline: str, command: CommandResult | None, suspects: Sequence[Suspect] = ()
    ) -> Findings:
        argv = self.arguments.command
        if command is None and argv:
            command = CommandResult(argv, skipped="the environment was not ready")
        ill = {s.service: s.problem for s in suspects if command is None or command.skipped}
        return Findings(
            stack=self.stack,
            project=self.project.name,
            headline=headline,
            suspects=tuple(suspects),
            timeline=self.timeline.moments,
            services=readiness_of(self.project.services, self.outcome, self.waits_s, ill),
            command=command,
            took_s=self.timeline.elapsed_s,
        )

    async def _write(self, evidence: Evidence, findings: Findings) -> None:
        assert self.arguments.artifacts is not None
        if self.logs is not None:
            await self.logs.keep()
            self._warn(self.logs.problems)
        summary = "".join(f"{line}\n" for line in findings_lines(findings))
        problems = write_dossier(
            self.arguments.artifacts,
            findings,
            self.redactor,
            summary=summary,
            findings_json=findings_json(findings),
            started_at=self.started_at,
            project=self.project,
            plan=self.plan,
            state=await evidence.state(),
            environment=self.environment,
            versions=await evidence.versions(),
        )
        self._warn(problems)

    def _warn(self, problems: list[str]) -> None:
        for problem in problems:
            self.context.warning(problem)


def _masked(value: Any, redactor: Redactor) -> Any:
    """A frozen value with every text in it masked, and without what would move a cursor."""
    if isinstance(value, str):
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _ANSI.sub("", redactor.text(value)))
    if isinstance(value, tuple):
        return tuple(_masked(item, redactor) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: _masked(getattr(value, f.name), redactor) for f in fields(value)}
        return replace(value, **parts)
    return value
