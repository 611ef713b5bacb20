"""Containers' output, line by line, each behind the coloured name of its container.

The names take Docker Compose's colours in the order in which they first speak, and its layout:
`web-1  | text`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stackr.cli.views.output import Output, paint

__all__ = ["LogLines"]

_CYCLE = (
    ("cyan",),
    ("yellow",),
    ("green",),
    ("magenta",),
    ("blue",),
    ("cyan", "bold"),
    ("yellow", "bold"),
    ("green", "bold"),
    ("magenta", "bold"),
    ("blue", "bold"),
)


@dataclass(slots=True)
class LogLines:
    """Writes containers' lines to `out`, and what they wrote to stderr to `err`.

    prefix: each line starts with the container's name; the column is as wide as the longest known.
    reports: where what cannot be shown is told; None for `err`.
    """

    out: Output
    err: Output
    prefix: bool = True
    reports: Output | None = None
    _styles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _width: int = 0

    def register(self, names: Iterable[str]) -> None:
        """Make the names' column wide enough for these, and give each its colour."""
        for name in names:
            if name not in self._styles:
                self._styles[name] = _CYCLE[len(self._styles) % len(_CYCLE)]
                self._width = max(self._width, len(name))

    def line(self, name: str, text: str, *, is_error: bool = False, moment: str = "") -> None:
        """One line of a container's output, without its line end; `moment` goes before it."""
        output = self.err if is_error else self.out
        stamp = f"{moment} " if moment else ""
        output.raw_line(f"{self._prefix(name, output)}{stamp}{text}")

    def status(self, name: str, text: str) -> None:
        """What happened to a container: `web-1 exited with code 0`."""
        self.register([name])
        line = f"{name} {text}"
        self.out.line(paint(line, *self._styles[name]) if self.out.colour else line)

    def problem(self, name: str, text: str) -> None:
        """Why a container's output is not shown."""
        (self.reports or self.err).line(f"{name} {text}")

    def _prefix(self, name: str, output: Output) -> str:
        if not self.prefix:
            return ""
        self.register([name])
        text = f"{name:<{self._width}}  | "
        return paint(text, *self._styles[name]) if output.colour else text
