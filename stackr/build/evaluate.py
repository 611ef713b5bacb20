"""A stage, instruction by instruction: variables are put in, and each becomes a step.

The configuration changes with each; what a step does to files is not looked at, so that the client
can follow a stage as far as the engine can. Source: moby/buildkit, dockerfile2llb/convert.go.
"""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from e2b_dockerfile_utils import parse_heredoc

from stackr.build.dockerfile import Heredoc, Instruction, parse_trigger
from stackr.build.errors import DockerfileError
from stackr.build.expand import Words
from stackr.build.flags import flags_of
from stackr.build.mounts import mounts_of
from stackr.build.settings import DEFAULT_PATH, DEFAULT_SHELL, SETTINGS, environment
from stackr.build.stages import PREDEFINED, Stage, StagePlan
from stackr.build.steps import Change, Config, Copy, Folder, Run, Step

__all__ = ["StageState"]

_HEREDOC_ALONE: Final = re.compile(r"\s*<<-?\s*([^\s<]+)\s*")
_NETWORKS: Final = ("default", "none", "host")
_CHECKSUM: Final = re.compile(r"sha256:[0-9a-f]{64}")
_PIPES: Final = "/dev/pipes"


class StageState:
    """Where a stage stands. config: the image's so far; args: what ARG has declared, by name.

    base, args: what it begins with; a stage that begins with another has its arguments, too.
    author: of MAINTAINER.
    """

    def __init__(
        self,
        plan: StagePlan,
        stage: Stage,
        base: Mapping[str, Any],
        args: Mapping[str, str] | None = None,
    ) -> None:
        self.plan = plan
        self.stage = stage
        self.config: Config = copy.deepcopy({k: v for k, v in base.items() if v})
        if "PATH" not in environment(self.config):
            self.config["Env"] = [*self.config.get("Env", ()), DEFAULT_PATH]
        self.args: dict[str, str] = dict(args or {})
        self.author = ""
        self._is_cmd_set = False
        self._triggers = tuple(self.config.pop("OnBuild", None) or ())

    def instructions(self) -> Iterator[Instruction]:
        """What the base image wants done first, then the stage's own."""
        for text in self._triggers:
            yield parse_trigger(str(text), line=self.stage.line)
        yield from self.stage.instructions

    @property
    def working_dir(self) -> str:
        return str(self.config.get("WorkingDir") or "/")

    @property
    def user(self) -> str:
        return str(self.config.get("User") or "")

    def step(self, instruction: Instruction) -> Step:
        """The next step; the configuration is what it is after it. Raises DockerfileError."""
        match instruction.name:
            case "RUN":
                return self._run(instruction)
            case "COPY" | "ADD":
                return self._copy(instruction)
            case "WORKDIR":
                return self._workdir(instruction)
            case "ARG":
                self._arg(instruction)
            case "MAINTAINER":
                self.author = " ".join(instruction.args)
            case name:
                SETTINGS[name](self.config, instruction, self._words(instruction))
                if name == "CMD":
                    self._is_cmd_set = True
                elif name == "ENTRYPOINT" and not self._is_cmd_set:
                    self.config.pop("Cmd", None)
        return Change(instruction)

    def _words(self, instruction: Instruction) -> Words:
        """Variables: the image's, which win, and the arguments in scope."""
        return Words(self.variables(), self.plan.escape, instruction.line)

    def variables(self) -> dict[str, str]:
        return {**self.args, **environment(self.config)}

    def _arg(self, instruction: Instruction) -> None:
        if not instruction.args:
            raise DockerfileError("ARG requires at least one argument", instruction.line)
        given = self.plan.arguments
        for text in instruction.args:
            words = self._words(instruction)
            name, equals, default = text.partition("=")
            name = words.word(name)
            if not name:
                raise DockerfileError("ARG names can not be blank", instruction.line)
            if name in given:
                self.args[name] = given[name]
            elif equals:
                self.args[name] = words.word(default)
            elif name in self.plan.args:
                self.args[name] = self.plan.args[name]

    def _workdir(self, instruction: Instruction) -> Folder:
        if len(instruction.args) != 1:
            raise DockerfileError("WORKDIR requires exactly one argument", instruction.line)
        path = self._words(instruction).word(instruction.args[0])
        if not path:
            raise DockerfileError("WORKDIR requires exactly one argument", instruction.line)
        path = _absolute(self.working_dir, path)
        self.config["WorkingDir"] = path
        return Folder(instruction, path, self.user)

    def _run(self, instruction: Instruction) -> Run:
        flags = flags_of(instruction)
        network = flags.get("network", ["default"])[0]
        if network not in _NETWORKS:
            raise DockerfileError(f'unsupported network mode "{network}"', instruction.line)
        words = self._words(instruction)
        argv, scripts = self._program(instruction)
        declared = self.variables()
        proxies = {
            name: value
            for name, value in self.plan.arguments.items()
            if name in PREDEFINED and name not in declared
        }
        return Run(
            instruction,
            tuple(argv),
            tuple(f"{name}={value}" for name, value in declared.items()),
            tuple(f"{name}={value}" for name, value in sorted(proxies.items())),
            self.working_dir,
            self.user,
            network,
            tuple(mounts_of(instruction, words.word)),
            scripts,
            not instruction.is_json,
        )

    def _program(self, instruction: Instruction) -> tuple[list[str], tuple[Heredoc, ...]]:
        if not any(instruction.args):
            raise DockerfileError("RUN requires at least one argument", instruction.line)
        if instruction.is_json:
            return list(instruction.args), ()
        shell = list(self.config.get("Shell") or DEFAULT_SHELL)
        text = instruction.args[0]
        if not instruction.heredocs:
            return [*shell, text], ()
        if len(instruction.heredocs) == 1 and _HEREDOC_ALONE.fullmatch(text):
            document = instruction.heredocs[0]
            if document.content.startswith("#!"):
                return [*shell, f"{_PIPES}/{document.name}"], (document,)
            return [*shell, document.content], ()
        rest = "".join(f"\n{each.raw}{each.name}" for each in instruction.heredocs)
        return [*shell, text + rest], ()

    def _copy(self, instruction: Instruction) -> Copy:
        flags = flags_of(instruction)
        words = self._words(instruction)
        if len(instruction.args) < 2:
            raise DockerfileError(
                f"{instruction.name} requires at least two arguments, but only"
                f" {len(instruction.args)} provided. Destination could not be determined",
                instruction.line,
            )
        *sources, target = instruction.args
        plain = [each for each in sources if not (instruction.heredocs and parse_heredoc(each))]
        checksum = words.word(flags.get("checksum", [""])[0])
        if checksum and not _CHECKSUM.fullmatch(checksum):
            raise DockerfileError(f"invalid checksum: {checksum}", instruction.line)
        if len(sources) > 1 and not words.word(target).endswith("/"):
            raise DockerfileError(
                f"When using {instruction.name} with more than one source file, the destination"
                " must be a directory and end with a /",
                instruction.line,
            )
        return Copy(
            instruction,
            tuple(map(words.word, plain)),
            _target(self.working_dir, words.word(target)),
            flags.get("from", [""])[0],
            tuple(_expanded(each, words) for each in instruction.heredocs),
            words.word(flags.get("chown", [""])[0]),
            words.word(flags.get("chmod", [""])[0]),
            flags.get("link", ["false"])[0] == "true",
            flags.get("parents", ["false"])[0] == "true",
            tuple(words.word(each) for each in flags.get("exclude", [])),
            instruction.name == "ADD",
            checksum,
            flags.get("keep-git-dir", ["false"])[0] == "true",
        )


def _expanded(document: Heredoc, words: Words) -> Heredoc:
    if not document.expand:
        return document
    return Heredoc(document.name, words.heredoc(document.content), True, document.raw)


def _absolute(base: str, path: str) -> str:
    return posixpath.normpath(posixpath.join("/", base, path)).replace("//", "/")


def _target(base: str, path: str) -> str:
    """Absolute; a slash at the end says that it is a folder."""
    clean = _absolute(base, path)
    is_folder = path.endswith(("/", "/.")) or path in (".", "")
    return f"{clean}/" if is_folder and clean != "/" else clean
