"""When a registry's refusal is worth another try, and after how long; pure.

Source: RFC 9110 "Retry-After": seconds, or a date.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Final

from stackr.errors import Unavailable

__all__ = ["ATTEMPTS", "TRANSIENT", "TryAgain", "pause_s", "retry_after_s"]

ATTEMPTS: Final = 5
TRANSIENT: Final = frozenset((408, 425, 429, 500, 502, 503, 504))
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 60.0


class TryAgain(Unavailable):
    """The registry, or its token server, cannot answer now. after_s: as long as it says, or 0."""

    def __init__(self, message: str, *, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


def retry_after_s(header: str | None) -> float:
    """The seconds that a `Retry-After` asks for; 0 where it says nothing that is understood."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def pause_s(error: Unavailable, failures: int, attempts: int = ATTEMPTS) -> float:
    """Before the next try, after so many in a row have failed; raises the error after the last one,
    and where the registry asks for more patience than a caller has. attempts: how many there are.
    """
    after_s = error.after_s if isinstance(error, TryAgain) else 0.0
    if after_s > _LONGEST_PAUSE_S:
        raise Unavailable(f"{error.message}: it asks to be tried again in {after_s:.0f} s")
    if failures >= attempts:
        raise error
    return max(_FIRST_PAUSE_S * float(2**failures), after_s)
