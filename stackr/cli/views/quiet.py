"""No progress at all: warnings only. Failures are reported by whoever runs the plan."""

from __future__ import annotations

from stackr.cli.views.output import Output
from stackr.executor.events import Event

__all__ = ["QuietView"]


class QuietView:
    """Drops events and messages; `output` gets warnings."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def __call__(self, event: Event, /) -> None:
        return

    def message(self, text: str) -> None:
        return

    def warning(self, text: str) -> None:
        self._output.line(f"warning: {text}")

    def log_output(self, output: Output) -> Output:
        return output

    def close(self) -> None:
        return
