"""Points in time as calendars have them, by Unix seconds from anywhere.

An image's time may be of the year 9999, and of the next one in another zone; Python's calendar ends
there, and begins with the year 1. What is nearer to an end than a day is shown as that day.
"""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["local", "utc"]

_DAY_S = 86400.0
_FIRST_S = datetime(1, 1, 1, tzinfo=UTC).timestamp() + _DAY_S
_LAST_S = datetime(9999, 12, 31, tzinfo=UTC).timestamp() - _DAY_S


def utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(min(max(seconds, _FIRST_S), _LAST_S), UTC)


def local(seconds: float) -> datetime:
    """In the reader's time zone."""
    return utc(seconds).astimezone()
