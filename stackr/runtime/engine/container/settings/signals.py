"""Signals by name or number. Source: signal(7); Docker's `--signal`. Pure."""

from __future__ import annotations

import signal

from stackr.errors import InvalidArgument
from stackr.text import whole_number

__all__ = ["signal_number"]

_LARGEST = 64


def signal_number(text: str) -> int:
    """ "SIGTERM", "term", "15", "RTMIN+3". Raises InvalidArgument with Docker's text."""
    if given := whole_number(text, most=_LARGEST):
        return given
    name, sign, offset = text.upper().removeprefix("SIG").partition("+")
    if not sign:
        name, sign, offset = name.partition("-")
    steps = whole_number(offset, most=_LARGEST)
    if sign and steps is not None and name in ("RTMIN", "RTMAX"):
        base = signal.SIGRTMIN if name == "RTMIN" else signal.SIGRTMAX
        number = base + steps if "+" in text else base - steps
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return number
    elif not sign and f"SIG{name}" in signal.Signals.__members__:
        return int(signal.Signals[f"SIG{name}"])
    raise InvalidArgument(f"Invalid signal: {text}")
