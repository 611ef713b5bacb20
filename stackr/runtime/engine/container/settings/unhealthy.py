"""The label by which a container that has become unhealthy is restarted; pure.

    io.stackr.restart_unhealthy=true
    io.stackr.restart_unhealthy=max_attempts=3,delay=30s,window=10m

The first restart comes at once: the health check's own `retries` have been patient enough. Each
further one waits twice as long as the one before it. So it goes on until the container has been
healthy for a while, or the limit is reached.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackr.errors import InvalidArgument

__all__ = [
    "RESTART_UNHEALTHY_LABEL",
    "RestartUnhealthy",
    "parse_restart_unhealthy",
    "restart_unhealthy",
]

RESTART_UNHEALTHY_LABEL = "io.stackr.restart_unhealthy"
_LONGEST_S = 600.0
_MOST_DOUBLINGS = 20
_KEYS = ("max_attempts", "delay", "window")
_COUNT = re.compile(r"\d{1,9}", re.ASCII)
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)", re.ASCII)


@dataclass(frozen=True, slots=True)
class RestartUnhealthy:
    """max_attempts: restarts in a row, 0 for no limit. delay_s: how long a container is up before
    the second; window_s: how long it has to be healthy, until they are counted anew.
    """

    max_attempts: int = 5
    delay_s: float = 10.0
    window_s: float = 300.0

    def least_uptime_s(self, attempts: int) -> float:
        """How long a container runs, at least, before the restart after so many."""
        if attempts == 0:
            return 0.0
        doubled = self.delay_s * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS)
        return min(doubled, max(self.delay_s, _LONGEST_S))

    def is_used_up(self, attempts: int) -> bool:
        return 0 < self.max_attempts <= attempts


def parse_restart_unhealthy(labels: Mapping[str, str | None]) -> RestartUnhealthy | None:
    """What the label asks for, None for nothing. Raises InvalidArgument, which names the label."""
    text = labels.get(RESTART_UNHEALTHY_LABEL) or "false"
    if text in ("true", "false"):
        return RestartUnhealthy() if text == "true" else None
    given: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if key not in _KEYS or not equals or key in given:
            raise _malformed(text)
        given[key] = value
    found: dict[str, Any] = {}
    if "max_attempts" in given:
        found["max_attempts"] = _count(given["max_attempts"], text)
    for key in ("delay", "window"):
        if key in given:
            found[f"{key}_s"] = _seconds(given[key], text)
    return RestartUnhealthy(**found)


def restart_unhealthy(labels: Mapping[str, str | None]) -> RestartUnhealthy | None:
    """The same of a container that exists; None for a label that an older engine let pass."""
    try:
        return parse_restart_unhealthy(labels)
    except InvalidArgument:
        return None


def _count(value: str, text: str) -> int:
    if not _COUNT.fullmatch(value):
        raise _malformed(text)
    return int(value)


def _seconds(value: str, text: str) -> float:
    parts = _PART.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise _malformed(text)
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def _malformed(text: str) -> InvalidArgument:
    return InvalidArgument(
        f'label {RESTART_UNHEALTHY_LABEL}: "{text[:100]}": must be true, false, or as in'
        " max_attempts=3,delay=10s,window=5m"
    )
