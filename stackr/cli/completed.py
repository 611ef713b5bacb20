"""Parameters that answer a shell which asks what may be typed at them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from typer.completion import shell_completion  # type: ignore[attr-defined]

from stackr.cli.options import Parameter

__all__ = ["completed"]


def completed(parameters: Sequence[Parameter]) -> None:
    """Have each of them offer the words that fit it; files, where there are none."""
    for parameter in parameters:
        parameter.shell_complete = partial(_items, parameter)


def _items(parameter: Parameter, ctx: Any, incomplete: str) -> list[Any]:
    # It reads stack files and asks engines, which no command but a shell's question needs.
    from stackr.cli.completing import complete

    return [shell_completion.CompletionItem(word) for word in complete(ctx, parameter, incomplete)]
