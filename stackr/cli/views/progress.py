"""The view that `--progress` names."""

from __future__ import annotations

from stackr.cli.views.json import JsonView
from stackr.cli.views.output import Output
from stackr.cli.views.plain import PlainView
from stackr.cli.views.quiet import QuietView
from stackr.cli.views.view import View
from stackr.errors import InvalidArgument

__all__ = ["PROGRESS_CHOICES", "open_view"]

PROGRESS_CHOICES = ("auto", "tty", "plain", "json", "quiet")


def open_view(progress: str | None, out: Output, err: Output) -> View:
    """The view that `--progress` names; `auto` is `tty` where stderr is a terminal, else `plain`.

    Raises InvalidArgument for another name.
    """
    kind = progress or "auto"
    if kind not in PROGRESS_CHOICES:
        raise InvalidArgument(
            f'--progress: unknown value "{kind}": {", ".join(PROGRESS_CHOICES[:-1])} or quiet'
        )
    if kind == "auto":
        kind = "tty" if err.is_terminal else "plain"
    match kind:
        case "tty":
            # Not at the top: rich takes a third of a cold command's start, and only it needs that.
            from stackr.cli.views.tty import TtyView

            return TtyView(err)
        case "json":
            return JsonView(out)
        case "quiet":
            return QuietView(err)
        case _:
            return PlainView(err)
