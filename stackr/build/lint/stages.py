"""Rules about FROM: ConsistentInstructionCasing's kin, names of stages, platforms, arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stackr.build.dockerfile import Instruction
from stackr.build.errors import nearest
from stackr.build.flags import flags_of
from stackr.build.lint.subject import Finding, Subject, word_of
from stackr.build.stages import platform_args

__all__ = ["from_arguments", "stages"]

_RESERVED: Final = ("scratch", "context")
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)(?![\w:])[^}]*\}|(\w+))")
_PLATFORM: Final = re.compile(r"\$\{?TARGETPLATFORM\}?")


def stages(subject: Subject) -> Iterator[Finding]:
    seen: set[str] = set()
    for each in subject.instructions:
        if each.name != "FROM":
            continue
        yield from _platform(each)
        if len(each.args) == 3:
            yield from _name(each, seen)
            seen.add(each.args[2].lower())


def _platform(instruction: Instruction) -> Iterator[Finding]:
    platform = flags_of(instruction).get("platform", [""])[0]
    if platform and _PLATFORM.fullmatch(platform):
        text = (
            f"Setting platform to predefined {platform} in FROM is redundant as this is the default"
            " behavior"
        )
        yield Finding("RedundantTargetPlatform", instruction.line, text)
    elif platform and "$" not in platform and not _is_named_after(instruction, platform):
        text = f'FROM --platform flag should not use constant value "{platform}"'
        yield Finding("FromPlatformFlagConstDisallowed", instruction.line, text)


def _is_named_after(instruction: Instruction, platform: str) -> bool:
    """A stage for one platform, of several from which a build chooses by TARGETARCH."""
    name = instruction.args[2].lower() if len(instruction.args) == 3 else ""
    return any(part in name for part in platform.lower().split("/") if part)


def _name(instruction: Instruction, seen: set[str]) -> Iterator[Finding]:
    _, word, name = instruction.args
    line = instruction.line
    if word.isupper() != word_of(instruction).isupper():
        text = f"'{word}' and '{word_of(instruction)}' keywords' casing do not match"
        yield Finding("FromAsCasing", line, text)
    if name != name.lower():
        yield Finding("StageNameCasing", line, f"Stage name '{name}' should be lowercase")
    if name.lower() in _RESERVED:
        text = f'Stage name should not use the same name as reserved stage "{name.lower()}"'
        yield Finding("ReservedStageName", line, text)
    if name.lower() in seen:
        text = f'Duplicate stage name "{name}", stage names should be unique'
        yield Finding("DuplicateStageName", line, text)


def from_arguments(subject: Subject) -> Iterator[Finding]:
    """What FROM uses has to be declared before the first one, and come to a name."""
    declared: dict[str, bool] = dict.fromkeys(platform_args(""), True)
    is_head = True
    for each in subject.instructions:
        is_head = is_head and each.name == "ARG"
        if is_head:
            for text in each.args:
                name, equals, default = text.partition("=")
                declared[name] = bool((equals and default) or name in subject.arguments)
        if each.name != "FROM":
            continue
        platform = flags_of(each).get("platform", [""])[0]
        for braced, plain in _VARIABLE.findall(f"{platform} {each.args[0]}"):
            name = braced or plain
            if name not in declared:
                message = f"FROM argument '{name}' is not declared{nearest(name, declared)}"
                yield Finding("UndefinedArgInFrom", each.line, message)
            elif not declared[name] and name not in platform:
                message = f"Default value for ARG {each.args[0]} results in empty or invalid"
                yield Finding("InvalidDefaultArgInFrom", each.line, f"{message} base image name")
