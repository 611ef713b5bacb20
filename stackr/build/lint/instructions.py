"""Rules about single instructions, and about which of them belong together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stackr.build.dockerfile import Instruction
from stackr.build.lint.subject import Finding, Subject, word_of

__all__ = ["casing", "continuations", "each_instruction", "only_once"]

_SECRET: Final = re.compile(
    r"(?i)(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:$|_)"
)
_PUBLIC: Final = re.compile(r"(?i)public")
_ONCE: Final = ("CMD", "ENTRYPOINT", "HEALTHCHECK")


def casing(subject: Subject) -> Iterator[Finding]:
    words = [(word_of(each), each.line) for each in subject.instructions]
    upper = sum(word.isupper() for word, _ in words)
    is_upper = upper * 2 >= len(words)
    for word, line in words:
        if (word.isupper() if is_upper else word.islower()) is False:
            case = "uppercase" if is_upper else "lowercase"
            text = f"Command '{word}' should match the case of the command majority ({case})"
            yield Finding("ConsistentInstructionCasing", line, text)


def each_instruction(subject: Subject) -> Iterator[Finding]:
    is_absolute = has_shell = False
    for each in subject.instructions:
        match each.name:
            case "FROM":
                is_absolute = has_shell = False
            case "SHELL":
                has_shell = True
            case "MAINTAINER":
                text = "Maintainer instruction is deprecated in favor of using label"
                yield Finding("MaintainerDeprecated", each.line, text)
            case "CMD" | "ENTRYPOINT" if not each.is_json and each.args and not has_shell:
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
        if protocol and protocol != protocol.lower() and "$" not in protocol:
            text = f"Defined protocol '{port}' in EXPOSE instruction should be lowercase"
            yield Finding("ExposeProtoCasing", instruction.line, text)
        if ":" in re.sub(r"\$\{[^}]*\}", "", port):
            text = (
                "EXPOSE instruction should not define an IP address or host-port mapping, found"
                f" '{port}'"
            )
            yield Finding("ExposeInvalidFormat", instruction.line, text)


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


def only_once(subject: Subject) -> Iterator[Finding]:
    last: dict[str, int] = {}
    for each in subject.instructions:
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


def continuations(subject: Subject) -> Iterator[Finding]:
    for line, text in subject.dockerfile.warnings:
        if "continuation" in text.lower():
            yield Finding("NoEmptyContinuation", line, "Empty continuation line")
