"""All rules over one Dockerfile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from stackr.build.dockerfile import parse
from stackr.build.errors import DockerfileError
from stackr.build.lint.files import comments, ignored_files
from stackr.build.lint.instructions import (
    casing,
    continuations,
    each_instruction,
    only_once,
)
from stackr.build.lint.stages import from_arguments, stages
from stackr.build.lint.subject import Directive, Finding, Subject, Surroundings
from stackr.build.lint.variables import undefined_variables

__all__ = ["check", "violations"]

_RULES: Final[tuple[Callable[[Subject], Iterator[Finding]], ...]] = (
    *(casing, stages, each_instruction, only_once, from_arguments, continuations),
    *(comments, ignored_files, undefined_variables),
)


def check(
    data: bytes | str,
    arguments: Mapping[str, str] | None = None,
    around: Surroundings | None = None,
) -> list[Finding]:
    """In the order of the lines; `# check=skip=RULE` leaves rules out.

    Raises DockerfileError for what does not build at all.
    """
    return _findings(data, arguments, around)[1]


def violations(
    data: bytes | str,
    arguments: Mapping[str, str] | None = None,
    around: Surroundings | None = None,
) -> None:
    """Raises DockerfileError for findings in a Dockerfile that says `# check=error=true`."""
    directive, found = _findings(data, arguments, around)
    if directive.is_error and found:
        rules = ", ".join(sorted({each.rule for each in found}))
        raise DockerfileError(f"lint violation found for rules: {rules}", found[0].line)


def _findings(
    data: bytes | str, arguments: Mapping[str, str] | None, around: Surroundings | None
) -> tuple[Directive, list[Finding]]:
    dockerfile = parse(data)
    text = data.decode("utf-8-sig", "replace") if isinstance(data, bytes) else data
    subject = Subject(dockerfile, text.split("\n"), arguments or {}, around or Surroundings())
    directive = Directive.parse(dockerfile.check)
    found = [each for rule in _RULES for each in rule(subject) if directive.wants(each.rule)]
    return directive, sorted(found, key=lambda each: (each.line, each.rule))
