"""UndefinedVar: each stage is followed as the builder does, and variables that miss are noted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from stackr.build.dockerfile import Instruction
from stackr.build.errors import DockerfileError, nearest
from stackr.build.evaluate import StageState
from stackr.build.expand import Words
from stackr.build.lint.subject import Finding, Subject
from stackr.build.stages import PREDEFINED, Stage, StagePlan, plan_of
from stackr.build.steps import Config

__all__ = ["undefined_variables"]

_DEFAULTED: Final = re.compile(r"\$\{(\w+):?[-+?]")
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def undefined_variables(subject: Subject) -> Iterator[Finding]:
    """Of the stages that the target needs; what no build gets past is not this rule's."""
    try:
        plan = plan_of(
            subject.dockerfile, target=subject.around.target, arguments=subject.arguments
        )
        yield from _Follower(subject, plan).findings()
    except DockerfileError:
        return


def _defaulted(instruction: Instruction) -> set[str]:
    """Those for which the text itself says what is to be where they are not set."""
    texts = (instruction.original, *(each.content for each in instruction.heredocs))
    return {name for text in texts for name in _DEFAULTED.findall(text)}


class _Follower:
    def __init__(self, subject: Subject, plan: StagePlan) -> None:
        self._subject = subject
        self._plan = plan
        self._states: dict[int, _Watched] = {}
        self._unknown: dict[int, str | None] = {}

    def findings(self) -> Iterator[Finding]:
        for stage in self._plan.stages:
            yield from self._stage(stage)

    def _stage(self, stage: Stage) -> Iterator[Finding]:
        state = self._states[stage.index] = self._begun(stage)
        base = self._unknown[stage.index]
        for instruction in stage.instructions:
            state.missed.clear()
            state.step(instruction)
            if base is not None and self._subject.around.environment is None:
                continue
            fine = state.declared | PREDEFINED | _defaulted(instruction)
            for name in sorted(state.missed - fine):
                near = nearest(name, state.known).replace("mean ", "mean $")
                text = f"Usage of undefined variable ${name}{near}"
                if base is not None:
                    text += f" ({base} is not here: it may define it)"
                yield Finding("UndefinedVar", instruction.line, text)

    def _begun(self, stage: Stage) -> _Watched:
        parent = self._states.get(stage.parent) if stage.parent is not None else None
        if parent is not None and stage.parent is not None:
            self._unknown[stage.index] = self._unknown[stage.parent]
            state = _Watched(self._plan, stage, parent.config, parent.args)
            state.declared |= parent.declared
            return state
        variables: Mapping[str, str] | None = {}
        if stage.base != "scratch":
            around = self._subject.around
            variables = around.environment(stage.base) if around.environment else None
        self._unknown[stage.index] = stage.base if variables is None else None
        known = {"PATH": _DEFAULT_PATH, **(variables or {})}
        config: Config = {"Env": [f"{name}={value}" for name, value in known.items()]}
        return _Watched(self._plan, stage, config)


class _Watched(StageState):
    """missed: variables that had no value, of the last step. declared: by an ARG without one."""

    def __init__(
        self,
        plan: StagePlan,
        stage: Stage,
        base: Mapping[str, object],
        args: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(plan, stage, base, args)
        self.missed: set[str] = set()
        self.declared: set[str] = set()

    @property
    def known(self) -> set[str]:
        return {*self.variables(), *self.declared}

    def _words(self, instruction: Instruction) -> Words:
        env = _Watching(self.variables(), self.missed)
        return Words(env, self.plan.escape, instruction.line)

    def _arg(self, instruction: Instruction) -> None:
        super()._arg(instruction)
        self.declared |= {each.partition("=")[0] for each in instruction.args}


class _Watching(Mapping[str, str]):
    """Variables that note in `missed` who was asked for and is not there."""

    def __init__(self, values: Mapping[str, str], missed: set[str]) -> None:
        self._values = values
        self._missed = missed

    def __getitem__(self, name: str) -> str:
        if name not in self._values:
            self._missed.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
