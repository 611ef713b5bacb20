"""Signals by name or number. Source: signal(7); Docker's `--signal`. Pure."""

from __future__ import annotations

import signal

from stackr.errors import InvalidArgument

__all__ = ["signal_number"]

_LARGEST = 64


def signal_number(text: str) -> int:
    """ "SIGTERM", "term", "15", "RTMIN+3". Raises InvalidArgument with Docker's text."""
    if text.isdecimal() and 1 <= int(text) <= _LARGEST:
        return int(text)
    name, sign, offset = text.upper().removeprefix("SIG").partition("+")
    if not sign:
        name, sign, offset = name.partition("-")
    if sign and offset.isdecimal() and name in ("RTMIN", "RTMAX"):
        base = signal.SIGRTMIN if name == "RTMIN" else signal.SIGRTMAX
        number = base + int(offset) if "+" in text else base - int(offset)
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return number
    elif not sign and f"SIG{name}" in signal.Signals.__members__:
        return int(signal.Signals[f"SIG{name}"])
    raise InvalidArgument(f"Invalid signal: {text}")
