"""Times in the API: RFC 3339 text in answers; seconds or text in queries. Inside: nanoseconds."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from stackr.errors import InvalidArgument

__all__ = ["ZERO_TIME", "parse_duration", "parse_time", "rfc3339"]

ZERO_TIME = "0001-01-01T00:00:00Z"
_NS = 1_000_000_000
_SECONDS = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?", re.ASCII)
_DURATION = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_FRACTION = re.compile(r"\.(\d{1,9})")


def rfc3339(time_ns: int) -> str:
    """Nanoseconds since the epoch as "2024-05-06T07:08:09.123456789Z"; 0 is Go's zero time."""
    if not time_ns:
        return ZERO_TIME
    seconds, rest = divmod(time_ns, _NS)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{rest:09d}Z" if rest else f"{text}Z"


def parse_time(text: str, key: str) -> int | None:
    """A `since` or `until`: "1715000000.5" or RFC 3339; None for "" and "0".

    Raises InvalidArgument, which names the query parameter `key`.
    """
    if text in ("", "0"):
        return None
    match = _SECONDS.fullmatch(text)
    if match:
        return int(match[1]) * _NS + int((match[2] or "").ljust(9, "0"))
    fraction = _FRACTION.search(text)
    whole = _FRACTION.sub("", text, count=1).replace("Z", "+00:00")
    try:
        if _DATE.match(whole) is None:
            raise ValueError  # ISO 8601 has more forms than RFC 3339
        moment = datetime.fromisoformat(whole)
    except ValueError:
        raise InvalidArgument(f'invalid value for "{key}": not a time: "{text}"') from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    nanoseconds = int(fraction[1].ljust(9, "0")) if fraction else 0
    return int(moment.timestamp()) * _NS + nanoseconds


def parse_duration(text: str) -> int | None:
    """An age such as "24h" or "1h30m" in nanoseconds; None where it is none."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * _NS
