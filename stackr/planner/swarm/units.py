"""Quantities as the Engine API counts them."""

from __future__ import annotations

__all__ = ["nanoseconds", "optional_nanoseconds", "seconds"]

_NANO = 1_000_000_000


def nanoseconds(seconds: float) -> int:
    return round(seconds * _NANO)


def optional_nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else nanoseconds(seconds)


def seconds(nanoseconds: int) -> float:
    return nanoseconds / _NANO
