"""What is wrong with a stack file: collected, placed, shown with the lines themselves.

A problem has the key's path; `Sources` finds the file, line and column for it when the problem is
shown, so that a good file pays nothing for positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

from stackr.errors import InvalidProject
from stackr.spec.advice import advice
from stackr.spec.positions import Place, Sources
from stackr.spec.rules import Path, show

MAX_PROBLEMS = 200
_LONGEST_NAME = 100
_LONGEST_TEXT = 1000
_CANDIDATES = 8


class Finding(NamedTuple):
    """A problem before it has a place; `at_key` points at the key rather than at its value."""

    path: Path
    message: str
    hint: str | None = None
    at_key: bool = False
    place: Place | None = None


class Problem(str):
    """`file:line:column: path: message`, with the shown lines and the way out as attributes."""

    __slots__ = ("hint", "snippet")

    hint: str | None
    snippet: str

    @classmethod
    def of(cls, text: str, *, hint: str | None, snippet: str) -> Problem:
        """Make a problem of its one line, a way out, and the marked lines ("" for none)."""
        problem = cls(text)
        problem.hint = hint
        problem.snippet = snippet
        return problem


class Problems:
    """Collects findings until the phase ends."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._findings: dict[Finding, None] = {}

    def __bool__(self) -> bool:
        return bool(self._findings)

    @property
    def findings(self) -> list[Finding]:
        """What has been noted so far, in order."""
        return list(self._findings)

    @property
    def is_full(self) -> bool:
        """Whether there are so many that no further one is kept."""
        return len(self._findings) >= MAX_PROBLEMS

    def add(
        self,
        path: Path,
        message: str,
        *,
        hint: str | None = None,
        at_key: bool = False,
        place: Place | None = None,
    ) -> None:
        """Note a problem; the same one twice counts once, and there is an end to them."""
        finding = Finding(path, message, hint, at_key, place)
        if not self.is_full:
            self._findings[finding] = None

    def take(self, findings: Iterable[Finding]) -> None:
        """Note what a phase has found."""
        for each in findings:
            self.add(each.path, each.message, hint=each.hint, at_key=each.at_key, place=each.place)

    def check(self) -> None:
        """Raise InvalidProject with everything found so far, if there is anything."""
        if self._findings:
            raise invalid_project([self._place(finding) for finding in self._findings])

    def _place(self, finding: Finding) -> Problem:
        place = finding.place or self._sources.find(finding.path, at_key=finding.at_key)
        subject = f"{show(finding.path)}: " if finding.path else ""
        where = f"{self._sources.relative(place)}: " if place is not None else ""
        return Problem.of(
            _shortened(f"{where}{subject}{finding.message}"),
            hint=finding.hint or advice(finding.path, finding.message),
            snippet=self._sources.snippet(place) if place is not None else "",
        )


def _shortened(text: str) -> str:
    """The start and the end of a text that is too long to be read."""
    if len(text) <= _LONGEST_TEXT:
        return text
    return f"{text[: _LONGEST_TEXT * 3 // 4]}...{text[-_LONGEST_TEXT // 4 :]}"


def invalid_project(problems: list[Problem]) -> InvalidProject:
    """One error for all problems; its message is the first one."""
    first = problems[0]
    return InvalidProject(str(first), problems=problems, hint=first.hint)


def refuse(message: str, *, hint: str | None = None) -> InvalidProject:
    """An error that belongs to no line of a file."""
    message = _shortened(message)
    return InvalidProject(message, problems=[Problem.of(message, hint=hint, snippet="")], hint=hint)


def _likeness(one: str, other: str) -> float:
    """How many letters two names share, by their length: quick, and good enough to choose from."""
    shared = len(set(one) & set(other))
    return shared / max(len(set(one) | set(other)), 1) - abs(len(one) - len(other)) / 100


def nearest(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the known spelling closest to `name`, if one is close."""
    if len(name) > _LONGEST_NAME:
        return None
    likely = sorted(known, key=lambda each: -_likeness(name, each))[:_CANDIDATES]
    close = get_close_matches(name, likely, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else None
