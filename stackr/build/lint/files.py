"""Rules about what is beside the instructions: comments, and files that are left out."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from stackr.build.address import is_added_address
from stackr.build.dockerfile import Instruction
from stackr.build.flags import flags_of
from stackr.build.ignore import Ignore
from stackr.build.lint.subject import Finding, Subject
from stackr.build.tree import parents_of

__all__ = ["comments", "ignored_files"]


def ignored_files(subject: Subject) -> Iterator[Finding]:
    """Not where the file takes something back in: what it comes to is not in the names then."""
    ignore = subject.around.ignore
    if not ignore or ignore.has_exceptions:
        return
    for each in subject.instructions:
        if each.name not in ("COPY", "ADD") or "from" in flags_of(each):
            continue
        for source in _sources(each):
            if _is_ignored(ignore, source):
                text = (
                    f'Attempting to {each.name.capitalize()} file "{source}" that is excluded by'
                    " .dockerignore"
                )
                yield Finding("CopyIgnoredFile", each.line, text)


def _sources(instruction: Instruction) -> Iterator[str]:
    """As they are written, but for what a variable or a heredoc says."""
    for source in instruction.args[:-1]:
        is_added = instruction.name == "ADD" and is_added_address(source)
        if not is_added and "$" not in source and not source.startswith("<<"):
            yield posixpath.normpath(source)


def _is_ignored(ignore: Ignore, source: str) -> bool:
    path = source.lstrip("/")
    return any(ignore.matches(each) for each in (path, *parents_of(path)))


def comments(subject: Subject) -> Iterator[Finding]:
    """What stands right above a stage or an argument describes it, and begins with its name."""
    directives = _directive_lines(subject)
    for each in subject.instructions:
        names = _names(each)
        line = subject.lines[each.line - 2].strip() if each.line > 1 else ""
        if not names or not line.startswith("#") or each.line - 1 <= directives:
            continue
        words = line.lstrip("#").split()
        if words and words[0] not in names:
            name = names[0] if len(names) == 1 else "<arg_key>"
            text = f"Comment for {each.name} should follow the format: `# {name} <description>`"
            yield Finding("InvalidDefinitionDescription", each.line, text)


def _names(instruction: Instruction) -> list[str]:
    if instruction.name == "ARG":
        return [each.partition("=")[0] for each in instruction.args]
    is_named = instruction.name == "FROM" and len(instruction.args) == 3
    return [instruction.args[2]] if is_named else []


def _directive_lines(subject: Subject) -> int:
    """How many lines at the top are parser directives."""
    count = 0
    for line in subject.lines:
        name = line.strip().lstrip("#").strip().partition("=")[0].strip().lower()
        if not line.strip().startswith("#") or name not in ("syntax", "escape", "check"):
            break
        count += 1
    return count
