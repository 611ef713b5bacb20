"""How far a container's log has been read, so that reading goes on: no line twice, and none lost.

Times do not tell lines apart: those that the monitor reads in one go have one time.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LogPosition"]

_MARGIN_NS = 1_000_000  # a time in seconds is not exact to the nanosecond


@dataclass(slots=True)
class LogPosition:
    """last_ns: the time of the newest line that was taken; at_last: how many lines had it.

    With at_last 0, lines from last_ns on are new.
    """

    last_ns: int = 0
    at_last: int = 0
    _from_ns: int = 0
    _skip: int = 0

    def begin(self) -> float | None:
        """A reading begins; since when, in Unix seconds, the engine is to be asked for lines."""
        self._from_ns, self._skip = self.last_ns, self.at_last
        if not self.last_ns:
            return None
        return (self.last_ns - (_MARGIN_NS if self.at_last else 0)) / 1e9

    def take(self, time_ns: int) -> bool:
        """Whether the next line of this reading is new; it counts as taken then.

        time_ns: 0 where the engine does not tell, which is always new.
        """
        if time_ns and time_ns < self._from_ns:
            return False
        if time_ns == self._from_ns and self._skip:
            self._skip -= 1
            return False
        if time_ns > self.last_ns:
            self.last_ns, self.at_last = time_ns, 0
        self.at_last += time_ns == self.last_ns
        return True
