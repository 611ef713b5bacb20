"""`x-stackr.restart_unhealthy` of a service, as the label that tells the engine so."""

from __future__ import annotations

from collections.abc import Iterable

from stackr.errors import NotSupported
from stackr.runtime.types import Capabilities
from stackr.spec.decode import EXTENSION
from stackr.spec.model.service import Service
from stackr.spec.units import format_duration

__all__ = ["check_restarts", "restart_unhealthy_label", "restarts_unhealthy"]

_MS, _NS = 1000, 1_000_000


def restarts_unhealthy(service: Service) -> bool:
    return EXTENSION in service.extensions and service.stackr.restart_unhealthy is not None


def restart_unhealthy_label(service: Service) -> str | None:
    """The label's value, None for no label."""
    if not restarts_unhealthy(service):
        return None
    asked = service.stackr.restart_unhealthy
    times = {name: getattr(asked, name) for name in ("delay", "window")}
    parts = [f"{name}={_plain(value)}" for name, value in times.items() if value is not None]
    if asked is not None and asked.max_attempts is not None:
        parts.insert(0, f"max_attempts={asked.max_attempts}")
    return ",".join(parts) or "true"


def _plain(value_s: float) -> str:
    """A duration in the units that the engine knows, of which the least is a millisecond."""
    return format_duration(round(value_s * _MS) * _NS)


def check_restarts(services: Iterable[str], capabilities: Capabilities) -> None:
    """Raise NotSupported, with the key's path, where the engine would not do it."""
    for service in services if not capabilities.restart_unhealthy else ():
        raise NotSupported(
            f"services.{service}.x-stackr.restart_unhealthy: not supported by this engine: a Docker"
            " Engine restarts what has ended, never what is unhealthy",
            hint="use stackr's embedded engine",
        )
