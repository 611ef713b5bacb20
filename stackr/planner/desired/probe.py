"""`x-stackr.probe` of a service: a health check that the engine makes without a program in the
container.

Its values have been checked when the stack was loaded; what a regular expression may hold is the
engine's to say.
"""

from __future__ import annotations

from collections.abc import Iterable

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.container import Healthcheck
from stackr.runtime.types import Capabilities
from stackr.spec.decode import EXTENSION
from stackr.spec.model.extension import Probe
from stackr.spec.model.service import Service

__all__ = ["check_probes", "probe_healthcheck", "probe_of"]

_KEY = "x-stackr.probe"
_KINDS = ("tcp", "http", "log", "file")


def probe_of(service: Service) -> Probe | None:
    """The service's probe, if it has one."""
    return service.stackr.probe if EXTENSION in service.extensions else None


def probe_healthcheck(service: Service, probe: Probe) -> Healthcheck:
    """The health check that a probe stands for, as the engine's API takes it.

    Where the probe names no time, those of the service's `healthcheck` count.
    Raises InvalidArgument for a start interval without a start period.
    """
    check = service.healthcheck

    def seconds(name: str) -> float:
        own: float | None = getattr(probe, name)
        inherited: float | None = getattr(check, name) if check is not None else None
        return (own if own is not None else inherited) or 0

    if seconds("start_interval") and not seconds("start_period"):
        raise InvalidArgument(
            f"services.{service.name}.{_KEY}: start_interval requires start_period to be set"
        )
    return Healthcheck(
        test=_test(probe),
        interval_s=seconds("interval"),
        timeout_s=seconds("timeout"),
        start_period_s=seconds("start_period"),
        start_interval_s=seconds("start_interval"),
        retries=int(seconds("retries")),
    )


def _test(probe: Probe) -> tuple[str, ...]:
    kind = next(kind for kind in _KINDS if getattr(probe, kind) is not None)
    words = (kind.upper(), str(getattr(probe, kind)))
    if kind != "http":
        return words
    ranges = (f"{low}-{high}" if low < high else str(low) for low, high in probe.status)
    return (*words, ",".join(ranges))


def check_probes(services: Iterable[str], capabilities: Capabilities) -> None:
    """Raise NotSupported, with the key's path, for services with a probe on an engine without."""
    for service in services if not capabilities.probes else ():
        raise NotSupported(
            f"services.{service}.{_KEY}: not supported by this engine",
            hint="use healthcheck.test, or stackr's embedded engine",
        )
