"""A Dockerfile's text -> its instructions, by e2b-dockerfile-utils, a port of BuildKit's parser.

What that leaves out is added here: what follows ONBUILD, the values of the parser directives, and
the nearest known instruction. Source: moby/buildkit, frontend/dockerfile/parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from e2b_dockerfile_utils import (
    DockerfileHeredoc,
    DockerfileInstruction,
    DockerfileSyntaxError,
    chomp_heredoc_content,
    parse_dockerfile_ast,
)

from stackr.build.errors import DockerfileError, UnsupportedInstruction, nearest

__all__ = ["INSTRUCTIONS", "Dockerfile", "Heredoc", "Instruction", "parse", "parse_trigger"]

INSTRUCTIONS: Final = (
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
    *("MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)
_MOST_BYTES: Final = 1 << 20
_DIRECTIVE: Final = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_UNKNOWN: Final = "unknown instruction: "
_FRONTEND: Final = re.compile(
    r"(?:docker\.io/)?docker/dockerfile(?:-upstream)?"
    r"(?::(?:latest|labs|master|1(?:\.[0-9]+){0,2}(?:-labs)?))?(?:@sha256:[0-9a-f]{64})?"
)
_NO_TRIGGERS: Final = ("ONBUILD", "FROM", "MAINTAINER")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """`<<NAME`. content: with the leading tabs of `<<-` taken away; raw: as it is written.

    expand: NAME is not quoted.
    """

    name: str
    content: str
    expand: bool
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. name: in capitals. flags: `--name=value` without the dashes.

    args: of ENV and LABEL, key, value and `=` (or "" for the old form) in turn. trigger: what
    follows ONBUILD. original: in one line, without its heredocs. line, end_line: from 1.
    """

    name: str
    args: tuple[str, ...]
    flags: tuple[str, ...]
    is_json: bool
    heredocs: tuple[Heredoc, ...]
    original: str
    line: int
    end_line: int
    trigger: Instruction | None = None


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """escape: a backslash or a backtick. check: the value of the directive, "" where it has none.

    warnings: (line, text).
    """

    instructions: tuple[Instruction, ...]
    escape: str
    check: str = ""
    warnings: tuple[tuple[int, str], ...] = ()


def parse(data: bytes | str, name: str = "Dockerfile") -> Dockerfile:
    """Raises DockerfileError; UnsupportedInstruction for a `syntax` of another kind."""
    text = _text(data, name)
    directives = _directives(text)
    if directives.get("syntax"):
        _check_syntax(directives["syntax"][1], directives["syntax"][0])
    try:
        tree = parse_dockerfile_ast(text)
    except DockerfileSyntaxError as error:
        raise _explained(error) from None
    if not tree.instructions:
        raise DockerfileError("file with no instructions")
    return Dockerfile(
        tuple(_instruction(each, tree.escape_token) for each in tree.instructions),
        tree.escape_token,
        directives.get("check", (0, ""))[1],
        tuple((warning.line, warning.message) for warning in tree.warnings),
    )


def parse_trigger(text: str, escape: str = "\\", line: int = 0) -> Instruction:
    """An instruction that an image carries (`OnBuild`). Raises DockerfileError."""
    head = f"# escape={escape}\n" if escape != "\\" else ""
    try:
        tree = parse_dockerfile_ast(head + text)
    except DockerfileSyntaxError as error:
        problem = _explained(error).problem
        raise DockerfileError(problem, line) from None
    if len(tree.instructions) != 1:
        raise DockerfileError("ONBUILD requires one instruction", line)
    found = tree.instructions[0]
    if found.name in _NO_TRIGGERS:
        if found.name == "ONBUILD":
            raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", line)
        raise DockerfileError(f"{found.name} isn't allowed as an ONBUILD trigger", line)
    return _instruction(found, escape, line)


def _text(data: bytes | str, name: str) -> str:
    if len(data) > _MOST_BYTES:
        raise DockerfileError(f"{name}: is larger than {_MOST_BYTES >> 20} MiB")
    raw = data.encode() if isinstance(data, str) else data
    if b"\0" in raw:
        raise DockerfileError(f"{name}: is no text", raw.count(b"\n", 0, raw.index(b"\0")) + 1)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DockerfileError(f"{name}: is no UTF-8 text", line) from None
    if not text.strip():
        raise DockerfileError(f"the Dockerfile ({name}) cannot be empty")
    return text


def _directives(text: str) -> dict[str, tuple[int, str]]:
    """`# name=value` lines at the top, by name in lower case: line, value."""
    found: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        match = _DIRECTIVE.fullmatch(line.strip())
        if match is None or match[1].lower() not in ("syntax", "escape", "check"):
            break
        found.setdefault(match[1].lower(), (number, match[2]))
    return found


def _check_syntax(frontend: str, line: int) -> None:
    if not _FRONTEND.fullmatch(frontend.split()[0]):
        raise UnsupportedInstruction(f"syntax={frontend}: other than docker/dockerfile:1", line)


def _explained(error: DockerfileSyntaxError) -> DockerfileError:
    line = error.line or 0
    _, _, problem = str(error).partition(": ")
    if problem.startswith(_UNKNOWN):
        word = problem.removeprefix(_UNKNOWN)
        problem = f"{_UNKNOWN}{word[:80]}{nearest(word[:80].upper(), INSTRUCTIONS)}"
    return DockerfileError(problem, line)


def _instruction(found: DockerfileInstruction, escape: str, line: int = 0) -> Instruction:
    line = line or found.start_line
    trigger = None
    if found.name == "ONBUILD":
        rest = found.original.strip().partition(found.original.split()[0])[2].strip()
        if not rest:
            raise DockerfileError("ONBUILD requires at least one argument", line)
        trigger = parse_trigger(rest, escape, line)
    return Instruction(
        found.name,
        tuple(found.args),
        tuple(found.flags),
        found.json,
        tuple(map(_heredoc, found.heredocs)),
        found.original.strip(),
        line,
        max(line, found.end_line),
        trigger,
    )


def _heredoc(found: DockerfileHeredoc) -> Heredoc:
    content = chomp_heredoc_content(found.content) if found.chomp else found.content
    return Heredoc(found.name, content, found.expand, found.content)
