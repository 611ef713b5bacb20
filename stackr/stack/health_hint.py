"""What to do about a health check that gave up while the service was still starting; pure."""

from __future__ import annotations

from stackr.runtime.types import ContainerState
from stackr.spec.model.service import Service
from stackr.spec.units import format_duration

__all__ = ["start_period_hint"]

_INTERVAL_S = 30.0
_RETRIES = 3
"""Docker's, where the stack file has none."""
_CANNOT_RUN = (126, 127)


def start_period_hint(service: Service, state: ContainerState) -> str:
    """That `healthcheck.start_period` would have given it time; "" where that is not it.

    state: of a container that runs and is unhealthy. A check that cannot be run at all is of no
    use later either, and one with a start period has had its time.
    """
    check = service.healthcheck
    if state.health != "unhealthy" or state.state != "running" or state.restart_count:
        return ""
    if check is None or check.start_period or state.health_exit_code in _CANNOT_RUN:
        return ""
    given_s = (check.interval or _INTERVAL_S) * (check.retries or _RETRIES)
    shown = format_duration(round(given_s * 1e9))
    return (
        f"it still runs, and had {shown} to get ready: if it needs longer at its first start, "
        "healthcheck.start_period (30s, say) lets checks fail for that time"
    )
