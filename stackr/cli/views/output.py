"""Where text goes: a stream, whether a person is at its end, its width, whether it takes colours.

Colours follow `--ansi` and `--no-color` first, then `NO_COLOR` (https://no-color.org), then
whether the stream is a terminal that knows them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from stackr.errors import InvalidArgument
from stackr.text import visible

__all__ = ["ANSI_CHOICES", "Output", "open_output", "paint"]

ANSI_CHOICES = ("auto", "always", "never")
_FALLBACK_SIZE = (80, 24)

_CODES = {
    "bold": "1",
    "dim": "2",
    "underline": "4",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


@dataclass(frozen=True, slots=True)
class Output:
    """A stream and what is known of its reader; `colour` says whether ANSI colours may be used."""

    stream: TextIO
    is_terminal: bool
    colour: bool

    @property
    def width(self) -> int:
        """Columns of the terminal now (it can be resized), or 80 where there is none.

        A terminal on a serial line knows no size, and says 0.
        """
        if not self.is_terminal:
            return _FALLBACK_SIZE[0]
        try:
            columns = os.get_terminal_size(self.stream.fileno()).columns
        except OSError:
            columns = 0
        return max(columns, 20) if columns else shutil.get_terminal_size(_FALLBACK_SIZE).columns

    @property
    def height(self) -> int:
        """Lines of the terminal now, or 24 where there is none."""
        if not self.is_terminal:
            return _FALLBACK_SIZE[1]
        try:
            lines = os.get_terminal_size(self.stream.fileno()).lines
        except (OSError, ValueError):
            lines = 0
        return lines or _FALLBACK_SIZE[1]

    def line(self, text: str = "") -> None:
        """Write one line, and let the reader see it at once.

        What of it would act on a terminal, but for colours of ours, is shown instead.
        """
        self.raw_line(self.visible(text))

    def visible(self, text: str) -> str:
        """`text` as `line` writes it."""
        return visible(text, colours="own" if self.colour else "none")

    def raw_line(self, text: str) -> None:
        """As `line`, for what a container wrote, which may draw on the terminal as it likes."""
        self.stream.write(f"{text}\n")
        self.stream.flush()

    def paint(self, text: str, *styles: str) -> str:
        """`text` in these styles where colours are wanted."""
        return paint(text, *styles) if self.colour else text


def open_output(
    stream: TextIO, *, ansi: str | None = None, environ: Mapping[str, str] = os.environ
) -> Output:
    """What `stream` is. `ansi` is the value of `--ansi`, None where it was not given.

    Raises InvalidArgument for another value than auto, always and never.
    """
    choice = ansi or "auto"
    if choice not in ANSI_CHOICES:
        raise InvalidArgument(f'--ansi: unknown value "{ansi}": auto, always or never')
    is_terminal = stream.isatty() and environ.get("TERM") != "dumb"
    wanted = is_terminal and not environ.get("NO_COLOR")
    return Output(stream, is_terminal, choice == "always" or (choice == "auto" and wanted))


def paint(text: str, *styles: str) -> str:
    """`text` between ANSI codes; a style is a name such as "bold" or "red"."""
    codes = ";".join(_CODES[style] for style in styles)
    return f"\x1b[{codes}m{text}\x1b[0m" if codes and text else text
