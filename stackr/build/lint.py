"""What is amiss in a Dockerfile that builds all the same, by the names of Docker's build checks.

Source: docs.docker.com/reference/build-checks; moby/buildkit, frontend/dockerfile/linter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from stackr.build.dockerfile import Dockerfile, Instruction, parse
from stackr.build.flags import flags_of

__all__ = ["Finding", "check"]

_RESERVED: Final = ("scratch", "context")
_SECRET: Final = re.compile(
    r"(?i)(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:$|_)"
)
_PUBLIC: Final = re.compile(r"(?i)public")
_ONCE: Final = ("CMD", "ENTRYPOINT", "HEALTHCHECK")
_SKIP: Final = re.compile(r"skip=([^;]*)")
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)(?![\w:])[^}]*\}|(\w+))")
_PLATFORM: Final = re.compile(r"\$\{?TARGETPLATFORM\}?")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. line: from 1."""

    rule: str
    line: int
    text: str


def check(data: bytes | str, arguments: Mapping[str, str] | None = None) -> list[Finding]:
    """In the order of the lines; `# check=skip=RULE` leaves rules out.

    Raises DockerfileError for what does not build at all.
    """
    dockerfile = parse(data)
    skipped = _skipped(dockerfile.check)
    found = [
        each
        for rule in (_casing, _stages, _instructions, _once, _from_arguments, _continuations)
        for each in rule(dockerfile, arguments or {})
        if "all" not in skipped and each.rule not in skipped
    ]
    return sorted(found, key=lambda each: (each.line, each.rule))


def _skipped(directive: str) -> set[str]:
    match = _SKIP.search(directive)
    return {each.strip() for each in match[1].split(",")} if match else set()


def _word(instruction: Instruction) -> str:
    return instruction.original.split(None, 1)[0]


def _casing(dockerfile: Dockerfile, arguments: Mapping[str, str]) -> Iterator[Finding]:
    words = [(_word(each), each.line) for each in dockerfile.instructions]
    upper = sum(word.isupper() for word, _ in words)
    is_upper = upper * 2 >= len(words)
    for word, line in words:
        if (word.isupper() if is_upper else word.islower()) is False:
            case = "uppercase" if is_upper else "lowercase"
            text = f"Command '{word}' should match the case of the command majority ({case})"
            yield Finding("ConsistentInstructionCasing", line, text)


def _stages(dockerfile: Dockerfile, arguments: Mapping[str, str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for each in dockerfile.instructions:
        if each.name != "FROM":
            continue
        platform = flags_of(each).get("platform", [""])[0]
        if platform and _PLATFORM.fullmatch(platform):
            text = f"Setting platform to predefined {platform} in FROM is redundant"
            yield Finding("RedundantTargetPlatform", each.line, text)
        elif platform and "$" not in platform:
            text = f'FROM --platform flag should not use constant value "{platform}"'
            yield Finding("FromPlatformFlagConstDisallowed", each.line, text)
        if len(each.args) != 3:
            continue
        _, word, name = each.args
        if word.isupper() != _word(each).isupper():
            text = f"'{word}' and '{_word(each)}' keywords' casing do not match"
            yield Finding("FromAsCasing", each.line, text)
        if name != name.lower():
            text = f"Stage name '{name}' should be lowercase"
            yield Finding("StageNameCasing", each.line, text)
        if name.lower() in _RESERVED:
            text = f"Stage name should not use the same name as reserved stage {name.lower()}"
            yield Finding("ReservedStageName", each.line, text)
        if name.lower() in seen:
            text = f'Duplicate stage name "{name}", stage names should be unique'
            yield Finding("DuplicateStageName", each.line, text)
        seen.add(name.lower())


def _instructions(dockerfile: Dockerfile, arguments: Mapping[str, str]) -> Iterator[Finding]:
    is_absolute = False
    for each in dockerfile.instructions:
        match each.name:
            case "FROM":
                is_absolute = False
            case "MAINTAINER":
                text = "Maintainer instruction is deprecated in favor of using label"
                yield Finding("MaintainerDeprecated", each.line, text)
            case "CMD" | "ENTRYPOINT" if not each.is_json and each.args:
                text = (
                    f"JSON arguments recommended for {each.name} to prevent unintended behavior"
                    " related to OS signals"
                )
                yield Finding("JSONArgsRecommended", each.line, text)
            case "WORKDIR" if each.args:
                path = each.args[0]
                if not path.startswith(("/", "$")) and not is_absolute:
                    text = f'Relative workdir "{path}" can have unexpected results if the base'
                    yield Finding("WorkdirRelativePath", each.line, f"{text} image changes")
                is_absolute = True
            case "EXPOSE":
                yield from _ports(each)
            case "ENV" | "ARG" | "LABEL":
                yield from _values(each)
            case _:
                continue


def _ports(instruction: Instruction) -> Iterator[Finding]:
    for port in instruction.args:
        protocol = port.partition("/")[2]
        if protocol and protocol != protocol.lower():
            text = f"Defined protocol '{protocol}' in EXPOSE should be lowercase"
            yield Finding("ExposeProtoCasing", instruction.line, text)


def _values(instruction: Instruction) -> Iterator[Finding]:
    name, line = instruction.name, instruction.line
    if name == "ARG":
        keys = [each.partition("=")[0] for each in instruction.args]
    else:
        keys = list(instruction.args[::3])
        if any(equals != "=" for equals in instruction.args[2::3]):
            text = f'"{name} key=value" should be used instead of legacy "{name} key value" format'
            yield Finding("LegacyKeyValueFormat", line, text)
    for key in keys if name != "LABEL" else ():
        if _SECRET.search(key) and not _PUBLIC.search(key):
            text = f'Do not use ARG or ENV instructions for sensitive data ({name} "{key}")'
            yield Finding("SecretsUsedInArgOrEnv", line, text)


def _once(dockerfile: Dockerfile, arguments: Mapping[str, str]) -> Iterator[Finding]:
    last: dict[str, int] = {}
    for each in dockerfile.instructions:
        if each.name == "FROM":
            last.clear()
        elif each.name in _ONCE:
            if each.name in last:
                text = (
                    f"Multiple {each.name} instructions should not be used in the same stage"
                    " because only the last one will be used"
                )
                yield Finding("MultipleInstructionsDisallowed", last[each.name], text)
            last[each.name] = each.line


def _from_arguments(dockerfile: Dockerfile, arguments: Mapping[str, str]) -> Iterator[Finding]:
    """What FROM uses has to be declared before the first one, and come to a name."""
    declared: dict[str, bool] = {}
    is_head = True
    for each in dockerfile.instructions:
        is_head = is_head and each.name == "ARG"
        if is_head:
            for text in each.args:
                name, equals, default = text.partition("=")
                declared[name] = bool((equals and default) or name in arguments)
        if each.name != "FROM":
            continue
        for braced, plain in _VARIABLE.findall(each.args[0]):
            name = braced or plain
            if name not in declared and not name.startswith(("TARGET", "BUILD")):
                message = f"FROM argument '{name}' is not declared"
                yield Finding("UndefinedArgInFrom", each.line, message)
            elif not declared.get(name, True):
                message = f"Default value for ARG {each.args[0]} results in an empty or invalid"
                yield Finding("InvalidDefaultArgInFrom", each.line, f"{message} base image name")


def _continuations(dockerfile: Dockerfile, arguments: Mapping[str, str]) -> Iterator[Finding]:
    for line, text in dockerfile.warnings:
        if "continuation" in text.lower():
            yield Finding("NoEmptyContinuation", line, "Empty continuation line")
