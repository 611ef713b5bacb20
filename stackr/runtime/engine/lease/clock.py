"""When a lease's time is up, by a clock that nobody sets and that goes on while the host sleeps.

That clock begins anew with each boot, so that the wall clock says what is left after one.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from stackr.runtime.engine.linux import process
from stackr.runtime.engine.records import Document, Kind, known_fields

__all__ = ["LEASE_CLOCK", "Deadline", "deadline_of"]

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Deadline:
    """boottime_ns: CLOCK_BOOTTIME of the boot `boot_id`; expires_ns: since the epoch."""

    boot_id: str
    boottime_ns: int
    expires_ns: int

    @classmethod
    def after(cls, left_s: float) -> Deadline:
        left_ns = int(left_s * _NS)
        return cls(process.boot_id(), process.boottime_ns() + left_ns, time.time_ns() + left_ns)

    def left_s(self) -> float:
        """Negative once the time is up."""
        if self.boot_id == process.boot_id():
            return (self.boottime_ns - process.boottime_ns()) / _NS
        return (self.expires_ns - time.time_ns()) / _NS

    def document(self) -> Document:
        return asdict(self)


def deadline_of(clock: Deadline | None, expires_ns: int) -> Deadline | None:
    """As it was recorded; a lease of an engine that kept the wall clock alone has just that."""
    if not expires_ns:
        return None
    return clock or Deadline("", 0, expires_ns)


LEASE_CLOCK = Kind(
    "lease_clock",
    parse=lambda _, document: Deadline(**known_fields(Deadline, document)),
    dump=Deadline.document,
)
