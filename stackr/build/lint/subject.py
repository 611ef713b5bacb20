"""What is looked at, and what is found; the `check` directive, which says what of it counts.

Source: docs.docker.com/reference/build-checks; moby/buildkit, frontend/dockerfile/linter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from stackr.build.dockerfile import Dockerfile, Instruction
from stackr.build.ignore import Ignore

__all__ = ["Directive", "Finding", "Subject", "Surroundings", "word_of"]

_ENTRY: Final = re.compile(r"\s*([a-z]+)\s*=\s*([^;]*?)\s*(?:;|$)")
_EXPERIMENTAL: Final = frozenset({"InvalidDefinitionDescription"})
_ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. line: from 1."""

    rule: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Directive:
    """`# check=skip=A,B;error=true;experimental=C`; "all" stands for every rule."""

    skipped: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    is_error: bool = False

    @classmethod
    def parse(cls, text: str) -> Directive:
        entries = dict(_ENTRY.findall(text))
        return cls(
            _names(entries.get("skip", "")),
            _names(entries.get("experimental", "")),
            entries.get("error", "").lower() in ("true", "1"),
        )

    def wants(self, rule: str) -> bool:
        """Those that are on trial have to be asked for."""
        if {rule, _ALL} & self.skipped:
            return False
        return rule not in _EXPERIMENTAL or bool({rule, _ALL} & self.experimental)


def _names(text: str) -> frozenset[str]:
    return frozenset(name for each in text.split(",") if (name := each.strip()))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the Dockerfile.

    ignore: of the context; None where it has none or is not known. environment: the variables of an
    image that a stage begins with, None where it is not known; without it such stages' variables
    are not judged.
    """

    ignore: Ignore | None = None
    environment: Callable[[str], Mapping[str, str] | None] | None = None
    target: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """lines: of the Dockerfile's text. arguments: the build arguments that are given."""

    dockerfile: Dockerfile
    lines: Sequence[str]
    arguments: Mapping[str, str] = field(default_factory=dict)
    around: Surroundings = field(default_factory=Surroundings)

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        return self.dockerfile.instructions


def word_of(instruction: Instruction) -> str:
    """The instruction's name as it is written."""
    return instruction.original.split(None, 1)[0]
