"""Figures as people read them: seconds, bytes, bytes per second, ages."""

from __future__ import annotations

__all__ = ["age", "binary_size", "seconds", "size"]

_UNITS = ("B", "kB", "MB", "GB", "TB")
_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_AGES = (
    (2 * 365 * 24, 365 * 24, "years"),
    (2 * 30 * 24, 30 * 24, "months"),
    (2 * 7 * 24, 7 * 24, "weeks"),
    (2 * 24, 24, "days"),
    (2, 1, "hours"),
)
"""From so many hours on, in units of so many."""


def seconds(value: float) -> str:
    """`0.4s`, `12.3s`, `3m05s`, `2h07m`."""
    if value < 60:
        return f"{value:.1f}s"
    minutes, rest = divmod(int(value), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m"


def size(value: float, *, digits: int = 3) -> str:
    """`512B`, `1.2kB`, `83MB`: decimal units, three digits at most, as Docker prints them.

    digits: in totals it prints four.
    """
    unit, most = 0, 1000 - 0.5 * 10 ** (3 - digits)
    while value >= most and unit < len(_UNITS) - 1:
        value /= 1000
        unit += 1
    is_long = digits == 3 and value >= 100
    text = f"{value:.0f}" if unit == 0 or is_long else f"{value:.{digits}g}"
    return f"{text}{_UNITS[unit]}"


def binary_size(value: float) -> str:
    """`512B`, `23.54GiB`: units of 1024, four digits at most, as Docker prints memory."""
    unit = 0
    while value >= 1024 and unit < len(_BINARY_UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{value:.4g}{_BINARY_UNITS[unit]}"


def age(value: float) -> str:
    """`5 seconds`, `About a minute`, `3 hours`, `2 weeks`, as Docker prints them.

    Hours are rounded, all else is cut. Source: docker/go-units, duration.go.
    """
    if value < 1:
        return "Less than a second"
    if value < 60:
        return "1 second" if int(value) == 1 else f"{int(value)} seconds"
    if value < 3600:
        return "About a minute" if value < 120 else f"{int(value // 60)} minutes"
    hours = int(value / 3600 + 0.5)
    for least, length, name in _AGES:
        if hours >= least:
            return f"{hours // length} {name}"
    return "About an hour"
