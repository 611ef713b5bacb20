"""Ages in words, as `docker ps` shows them.

Source: docker/go-units, `HumanDuration` (its limits and words).
"""

from __future__ import annotations

__all__ = ["in_words"]

_HOUR_S = 3600
_DAY_H = 24


def in_words(seconds: float) -> str:
    """ "Less than a second", "5 seconds", "About a minute", "3 hours", "2 weeks"..."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / _HOUR_S + 0.5)
    if hours == 1:
        return "About an hour"
    return _from_hours(hours)


def _from_hours(hours: int) -> str:
    if hours < 2 * _DAY_H:
        return f"{hours} hours"
    days = hours // _DAY_H
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    if days < 730:
        return f"{days // 30} months"
    return f"{days // 365} years"
