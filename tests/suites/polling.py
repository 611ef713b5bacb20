"""Waiting for what comes about in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["until"]

_DEADLINE_S = 180.0
_POLL_S = 0.02


def until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Poll until `condition` gives something true, and return it."""
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(_POLL_S)
