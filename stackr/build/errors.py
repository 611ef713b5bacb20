"""What is wrong with a Dockerfile, with its lines."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from stackr.errors import InvalidArgument, NotSupported

__all__ = ["DockerfileError", "UnsupportedInstruction", "nearest"]


class DockerfileError(InvalidArgument):
    """`line` is the number of the line where the instruction begins, 0 where there is none."""

    def __init__(self, message: str, line: int = 0, *, hint: str | None = None) -> None:
        where = f" on line {line}" if line else ""
        super().__init__(f"dockerfile parse error{where}: {message}", hint=hint)
        self.line = line
        self.problem = message


class UnsupportedInstruction(NotSupported):
    """Something that Docker knows and this builder does not."""

    def __init__(self, message: str, line: int = 0) -> None:
        where = f" on line {line}" if line else ""
        super().__init__(f"dockerfile{where}: {message}: not supported by the embedded engine")
        self.line = line


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, or "" where nothing is near."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
