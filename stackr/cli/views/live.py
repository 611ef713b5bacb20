"""Rows drawn again and again at the bottom of a terminal, with rich.

Narrow terminals lose the least important part first: the bar, the figures, then the elapsed time,
then the end of the text. A terminal with fewer lines than rows shows what is at work. At the end
every row is printed once and stays. rich is imported here only, when there is something to draw.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from stackr.cli.views.output import Output
from stackr.cli.views.rows import Row, Rows, RowState

__all__ = ["LiveRows", "render_row"]

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_PER_SECOND = 10
_MARKS = {
    RowState.DONE: ("✔", "green"),
    RowState.FAILED: ("✘", "red"),
    RowState.SKIPPED: ("-", "yellow"),
    RowState.WAITING: ("·", "dim"),
}
_LABEL_SHARE = 0.6
_BAR = 20
"""Columns of a bar; with less than half of that there is none."""


class LiveRows:
    """Draws `rows` until `stop()`; `header` gives the first line, at each frame."""

    def __init__(
        self,
        output: Output,
        rows: Rows,
        header: Callable[[], str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output = output
        self._rows = rows
        self._header = header
        self._clock = clock
        self._stopped = False
        console = Console(
            file=output.stream,
            force_terminal=True,
            no_color=not output.colour,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=_FRAMES_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="visible",
        )

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        """Draw the last state, whole, and leave it on the screen."""
        self._stopped = True
        self._live.stop()

    def print_above(self, text: str) -> None:
        """Write whole lines, with their own colours, above the rows."""
        self._live.console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True)

    def _render(self) -> Text:
        now = self._clock()
        width = self._output.width
        lines = [Text(self._header()[:width], style="bold")]
        every = self._rows.every()
        room = len(every) if self._stopped else max(shutil.get_terminal_size().lines - 3, 1)
        rows = self._rows.visible(room)
        column = label_width(every, width)
        lines += [render_row(row, now, width=width, label_width=column) for row in rows]
        if hidden := len(every) - len(rows):
            lines.append(Text(f"   … {hidden} more"[:width], style="dim"))
        return Text("\n").join(lines)


def label_width(rows: list[Row], width: int) -> int:
    """Columns for the labels: the longest one's, but at most their share of the terminal."""
    longest = max((len(row.label) for row in rows), default=0)
    return max(min(longest, int(width * _LABEL_SHARE)), 8)


def render_row(row: Row, now: float, *, width: int, label_width: int) -> Text:
    """One row in exactly `width` columns or fewer."""
    mark, style = _MARKS.get(row.state, (_spinner(now), "cyan"))
    label = row.label if len(row.label) <= label_width else row.label[: label_width - 1] + "…"
    elapsed, detail = row.elapsed(now), row.detail()
    left = f" {label:<{label_width}} "
    room = max(width - 1 - len(left), 0)
    right = ""
    if len(row.text) + 1 + len(elapsed) <= room:
        right = elapsed
    text = row.text[: room - len(right) - bool(right)] if room else ""
    if detail and len(text) + 2 + len(detail) + 1 + len(right) <= room:
        bar = _bar(row, room - len(text) - len(detail) - len(right) - 5)
        text = f"{text}  {bar}{detail}"
    gap = " " * (room - len(text) - len(right)) if right else ""
    line = Text(mark, style=style)
    line.append(left[: width - 1], style="dim" if row.state is RowState.WAITING else "")
    line.append(text, style=style)
    line.append(gap)
    line.append(right, style="dim")
    return line


def _bar(row: Row, room: int) -> str:
    """A transfer's share as a bar, and a gap after it; "" where there is no room."""
    share, length = row.share, min(room, _BAR)
    if share is None or length < _BAR // 2:
        return ""
    full = int(share * length)
    return f"{'━' * full}{'─' * (length - full)}  "


def _spinner(now: float) -> str:
    return _SPINNER[int(now * _FRAMES_PER_SECOND) % len(_SPINNER)]
