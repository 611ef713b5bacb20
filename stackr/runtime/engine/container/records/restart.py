"""Whether a container that has ended is started again, and after how long; pure.

Source: Docker's restart policies; dockerd waits 100 ms, twice as long after each further failure
up to a minute, and starts over once a container has been up for ten seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from stackr.runtime.engine.container.settings.spec import RestartPolicy

__all__ = ["Backoff", "comes_up_with_daemon", "should_restart"]

_FIRST_S = 0.1
_LONGEST_S = 60.0
_STABLE_AFTER_S = 10.0


def should_restart(
    policy: RestartPolicy, *, exit_code: int, restart_count: int, manually_stopped: bool
) -> bool:
    """restart_count: restarts since the container was last started by a caller."""
    if manually_stopped:
        return False
    match policy.name:
        case "always" | "unless-stopped":
            return True
        case "on-failure":
            limit = policy.maximum_retry_count
            return exit_code != 0 and (limit == 0 or restart_count < limit)
        case "" | "no":
            return False


def comes_up_with_daemon(policy: RestartPolicy, *, was_up: bool, manually_stopped: bool) -> bool:
    """Whether a container without processes is started as the daemon starts.

    was_up: its record says that it runs, so that only a crash or a reboot can have ended it.
    """
    match policy.name:
        case "always":
            return True
        case "unless-stopped":
            return not manually_stopped
        case "on-failure":
            return was_up and not manually_stopped
        case "" | "no":
            return False


@dataclass(slots=True)
class Backoff:
    """The waits of one container, in seconds."""

    _next_s: float = 0.0

    def after(self, uptime_s: float) -> float:
        """The wait before the restart of a container that was up for so long."""
        if uptime_s >= _STABLE_AFTER_S or self._next_s == 0:
            self._next_s = _FIRST_S
        else:
            self._next_s = min(self._next_s * 2, _LONGEST_S)
        return self._next_s
