"""`x-stackr.probe` of a service: a health check that the engine makes without a program in the
container.

Its values are checked as far as their form; what a regular expression or a URL may hold is the
engine's to say.
"""

from __future__ import annotations

from collections.abc import Iterable

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.container import Healthcheck
from stackr.runtime.types import Capabilities
from stackr.spec.model.service import Healthcheck as ServiceHealthcheck

__all__ = ["check_probes", "probe_test"]

_KEY = "x-stackr.probe"


def probe_test(
    service: str,
    *,
    tcp: int | None = None,
    http: str | None = None,
    status: str | None = None,
    log: str | None = None,
    file: str | None = None,
    interval: float | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    start_period: float | None = None,
    start_interval: float | None = None,
    healthcheck: ServiceHealthcheck | None = None,
) -> Healthcheck:
    """The health check that a probe stands for; durations in seconds.

    healthcheck: the service's own, whose times count where the probe names none.
    Raises InvalidArgument, with the key's path, unless exactly one of tcp, http, log and file is
    given, and where `healthcheck` has a test of its own.
    """
    where = f"services.{service}.{_KEY}"
    _refuse_second_test(service, where, healthcheck)
    times = healthcheck or ServiceHealthcheck()
    start_period = start_period if start_period is not None else times.start_period
    start_interval = start_interval if start_interval is not None else times.start_interval
    if start_interval is not None and start_period is None:
        raise InvalidArgument(f"{where}: start_interval requires start_period to be set")
    return Healthcheck(
        test=_test(where, tcp=tcp, http=http, status=status, log=log, file=file),
        interval_s=(interval if interval is not None else times.interval) or 0,
        timeout_s=(timeout if timeout is not None else times.timeout) or 0,
        start_period_s=start_period or 0,
        start_interval_s=start_interval or 0,
        retries=(retries if retries is not None else times.retries) or 0,
    )


def _refuse_second_test(service: str, where: str, check: ServiceHealthcheck | None) -> None:
    if check is None or not (check.test or check.disable):
        return
    key = "disable" if check.disable else "test"
    raise InvalidArgument(
        f"{where}: cannot be together with services.{service}.healthcheck.{key}",
        hint="keep one of the two",
    )


def _test(
    where: str,
    *,
    tcp: int | None,
    http: str | None,
    status: str | None,
    log: str | None,
    file: str | None,
) -> tuple[str, ...]:
    kinds = {"tcp": tcp, "http": http, "log": log, "file": file}
    given = [kind for kind, value in kinds.items() if value is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise InvalidArgument(f"{where}: needs one of tcp, http, log and file: has {found}")
    if status is not None and http is None:
        raise InvalidArgument(f"{where}.status: is for http alone")
    if tcp is not None and not 1 <= tcp <= 65535:
        raise InvalidArgument(f"{where}.tcp: {tcp}: must be from 1 to 65535")
    if http is not None and not http.startswith(("http://", "https://")):
        raise InvalidArgument(f'{where}.http: "{http}": must read http://:PORT/PATH (or https)')
    if log == "":
        raise InvalidArgument(f"{where}.log: is empty: would match every line")
    if file is not None and not file.startswith("/"):
        raise InvalidArgument(f'{where}.file: "{file}": must be an absolute path')
    words = (given[0].upper(), str(kinds[given[0]]))
    return words if status is None else (*words, status)


def check_probes(services: Iterable[str], capabilities: Capabilities) -> None:
    """Raise NotSupported, with the key's path, for services with a probe on an engine without."""
    for service in services if not capabilities.probes else ():
        raise NotSupported(
            f"services.{service}.{_KEY}: not supported by this engine",
            hint="use healthcheck.test, or stackr's embedded engine",
        )
