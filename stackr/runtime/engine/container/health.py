"""Health checks: a loop of probes for each container, and what their results make of its health.

Until the first success a container is probed more often: at once, then with waits that double up to
`StartInterval`, so that a fast starter is not held up by a slow schedule.
Source: Docker's `HEALTHCHECK`; moby's defaults of 30 s, 30 s, 3 retries.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from stackr.errors import StackrError
from stackr.runtime.engine.container.exec import Executor, ProbeResult
from stackr.runtime.engine.container.record import Container, Health, Probe
from stackr.runtime.engine.container.spec import Config, Healthcheck

__all__ = ["Prober", "apply", "is_checked", "probe_command"]

_NS = 10**9
_DEFAULT_S = 30.0
_DEFAULT_START_INTERVAL_S = 5.0
_DEFAULT_RETRIES = 3
_FIRST_WAIT_S = 0.05
_KEPT_PROBES = 5


def is_checked(check: Healthcheck | None) -> bool:
    return check is not None and bool(check.test) and check.test != ["NONE"]


def probe_command(config: Config) -> list[str]:
    """The program and arguments of `Test`; empty where its first word is unknown."""
    test = config.healthcheck.test if config.healthcheck else []
    match test:
        case ["CMD", *command]:
            return command
        case ["CMD-SHELL", *words]:
            return [*(config.shell or ["/bin/sh", "-c"]), " ".join(words)]
        case _:
            return []


def apply(health: Health, probe: Probe, *, retries: int, in_start_period: bool) -> None:
    """Change `health` by one probe; failures in the start period do not count."""
    health.log = [*health.log[-(_KEPT_PROBES - 1) :], probe]
    if probe.exit_code == 0:
        health.status, health.failing_streak = "healthy", 0
        return
    if health.status == "starting" and in_start_period:
        return
    health.failing_streak += 1
    if health.failing_streak >= retries:
        health.status = "unhealthy"


@dataclass(slots=True)
class Prober:
    """changed: writes the record; publish: an event of the container."""

    container: Container
    executor: Executor
    changed: Callable[[], None]
    publish: Callable[[str], None]

    async def run(self) -> None:
        """Probe until cancelled; the caller stops it when the container pauses or ends."""
        wait_s = 0.0
        while True:
            await asyncio.sleep(self._until_next(wait_s))
            await self._probe_once()
            wait_s = min(max(2 * wait_s, _FIRST_WAIT_S), self._start_interval_s)

    def _until_next(self, wait_s: float) -> float:
        health = self.container.state.health
        if health is not None and health.status == "starting":
            return min(wait_s, self._interval_s)
        return self._interval_s

    async def _probe_once(self) -> None:
        health = self.container.state.health
        if health is None:
            return
        check = self._check
        start_ns = time.time_ns()
        result = await self._result()
        before = health.status
        probe = Probe(start_ns, time.time_ns(), result.exit_code, result.output)
        in_start_period = time.time_ns() - self.container.state.started_ns < check.start_period
        patience = self._fast_start_patience(start_ns)
        apply(
            health,
            probe,
            retries=check.retries or _DEFAULT_RETRIES,
            in_start_period=in_start_period or patience,
        )
        self.changed()
        if health.status != before:
            self.publish(f"health_status: {health.status}")

    def _fast_start_patience(self, now_ns: int) -> bool:
        """The extra early probes must not use up the retries: before the first one that the
        schedule asks for, failures do not count.
        """
        elapsed_ns = now_ns - self.container.state.started_ns
        health = self.container.state.health
        counted = health.failing_streak if health else 0
        due_ns = self._check.start_period + (counted + 1) * self._interval_s * _NS
        return elapsed_ns < due_ns

    async def _result(self) -> ProbeResult:
        command = probe_command(self.container.config)
        if not command:
            return ProbeResult(-1, f"unknown healthcheck type in {self._check.test}")
        timeout_s = self._check.timeout / _NS if self._check.timeout else _DEFAULT_S
        try:
            result = await self.executor.probe(self.container, command, timeout_s)
        except StackrError as error:
            return ProbeResult(-1, error.message)
        if result.timed_out:
            text = f"Health check exceeded timeout ({timeout_s:g}s)"
            return ProbeResult(-1, f"{text}: {result.output}" if result.output else text)
        return result

    @property
    def _check(self) -> Healthcheck:
        return self.container.config.healthcheck or Healthcheck()

    @property
    def _interval_s(self) -> float:
        return self._check.interval / _NS if self._check.interval else _DEFAULT_S

    @property
    def _start_interval_s(self) -> float:
        given = self._check.start_interval
        return given / _NS if given else _DEFAULT_START_INTERVAL_S
