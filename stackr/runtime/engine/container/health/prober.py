"""Health checks: when a container is probed, and what the results make of its health.

The schedule is Docker's, with more probes until the first success, so that a fast starter is not
held up by a slow schedule: the first comes at once, and the wait for the next one is a share of the
time since the start, up to what the schedule asks for. The extra failures do not count.
Source: Docker's `HEALTHCHECK`; moby's defaults of 30 s, 30 s, 3 retries, and 5 s in the start
period.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from stackr.errors import InvalidArgument, StackrError
from stackr.runtime.engine.container.health.probe import (
    CommandTest,
    FileTest,
    HttpTest,
    LogTest,
    ProbeResult,
    TcpTest,
    parse_test,
)
from stackr.runtime.engine.container.health.probe_command import CommandProbes
from stackr.runtime.engine.container.health.probe_file import FileProbe
from stackr.runtime.engine.container.health.probe_log import LogProbe
from stackr.runtime.engine.container.health.probe_network import HttpProbe, TcpProbe
from stackr.runtime.engine.container.records.record import Container, Health, Probe
from stackr.runtime.engine.container.settings.spec import Config, Healthcheck
from stackr.runtime.engine.container.storage.storage import Storage
from stackr.runtime.engine.linux.netns import Visitor

__all__ = ["Pace", "Prober", "Probes", "apply", "is_checked"]

_NS = 10**9
_DEFAULT_S = 30.0
_DEFAULT_START_INTERVAL_S = 5.0
_DEFAULT_RETRIES = 3
_KEPT_PROBES = 5

ProbeCall = Callable[[float], Awaitable[ProbeResult]]
"""One probe, which is given up after so many seconds."""


def is_checked(config: Config) -> bool:
    return parse_test(config) is not None


def apply(health: Health, probe: Probe, *, retries: int, counts: bool = True) -> None:
    """Change `health` by one probe. counts: whether a failure of a starting container does."""
    health.log = [*health.log[-(_KEPT_PROBES - 1) :], probe]
    if probe.exit_code == 0:
        health.status, health.failing_streak = "healthy", 0
        return
    if health.status == "starting" and not counts:
        return
    health.failing_streak += 1
    if health.failing_streak >= retries:
        health.status = "unhealthy"


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a check is made; all in seconds. `first_s` and `share` are of the extra probes.

    costs: how many times as long as the last probe took must pass before an extra one.
    """

    interval_s: float
    start_period_s: float
    start_interval_s: float
    first_s: float = 0.05
    share: float = 1 / 8
    costs: float = 4

    @classmethod
    def of(cls, check: Healthcheck, *, in_engine: bool) -> Pace:
        """in_engine: the probe is stackr's own, and costs next to nothing."""
        extra = {"first_s": 0.01, "share": 1 / 20} if in_engine else {}
        return cls(
            interval_s=check.interval / _NS or _DEFAULT_S,
            start_period_s=check.start_period / _NS,
            start_interval_s=check.start_interval / _NS or _DEFAULT_START_INTERVAL_S,
            **extra,
        )

    def wait_s(self, *, elapsed_s: float, took_s: float) -> float:
        """Until the next probe of a starting container, `elapsed_s` after its start."""
        is_early = elapsed_s < self.start_period_s
        most = min(self.start_interval_s, self.interval_s) if is_early else self.interval_s
        return min(most, max(self.first_s, self.share * elapsed_s, self.costs * took_s))

    def counts(self, *, elapsed_s: float, failed: int) -> bool:
        """Whether the schedule without the extra probes would have failed more than `failed` times
        by now.
        """
        return elapsed_s >= self.start_period_s + (failed + 1) * self.interval_s


@dataclass(slots=True)
class Probes:
    """Makes the probe of each container's test."""

    commands: CommandProbes
    storage: Storage
    visitor: Visitor = field(default_factory=Visitor)

    def close(self) -> None:
        self.visitor.close()

    @contextmanager
    def open(self, container: Container) -> Iterator[ProbeCall]:
        """Raises InvalidArgument for a malformed test."""
        running = container.running
        pid, started = (running.pid, running.pid_start) if running else (0, 0)
        match parse_test(container.config):
            case CommandTest(command):
                yield self.commands.prober(container, command)
            case TcpTest() as test:
                yield _limited(TcpProbe(self.visitor, pid, started, test))
            case HttpTest() as test:
                yield _limited(HttpProbe(self.visitor, pid, started, test))
            case FileTest(path):
                yield _limited(FileProbe(pid, started, path))
            case LogTest(pattern):
                with closing(self._log_probe(container, pattern)) as probe:
                    yield _limited(probe)
            case None:
                raise InvalidArgument("the container has no health check")

    def _log_probe(self, container: Container, pattern: str) -> LogProbe:
        health = container.state.health
        return LogProbe(
            self.storage.log_file(container),
            pattern,
            since_ns=container.state.started_ns,
            matched=health is not None and health.status == "healthy",
        )


def _limited(probe: Callable[[], Awaitable[ProbeResult]]) -> ProbeCall:
    async def within(timeout_s: float) -> ProbeResult:
        try:
            async with asyncio.timeout(timeout_s):
                return await probe()
        except TimeoutError:
            return ProbeResult(-1, "", timed_out=True)

    return within


@dataclass(slots=True)
class Prober:
    """changed: writes the record; publish: an event of the container. probed: is told, after each
    probe, how many have failed in a row since `run` began, and how many make it unhealthy.
    """

    container: Container
    probes: Probes
    changed: Callable[[], None]
    publish: Callable[[str], None]
    probed: Callable[[int, int], None]

    async def run(self) -> None:
        """Probe until cancelled; the caller stops it when the container pauses or ends."""
        check = self.container.config.healthcheck or Healthcheck()
        pace = Pace.of(check, in_engine=check.test[0] not in ("CMD", "CMD-SHELL"))
        timeout_s, retries = check.timeout / _NS or _DEFAULT_S, check.retries or _DEFAULT_RETRIES
        failures = 0
        with self.probes.open(self.container) as probe:
            while (health := self.container.state.health) is not None:
                start_ns, began_s = time.time_ns(), self.container.uptime_s
                result = await _result(probe, timeout_s)
                ended_s = self.container.uptime_s
                done = Probe(start_ns, time.time_ns(), result.exit_code, result.output)
                counts = pace.counts(elapsed_s=began_s, failed=health.failing_streak)
                self._note(health, done, retries, counts)
                failures = failures + 1 if done.exit_code else 0
                self.probed(failures, retries)
                wait_s = pace.interval_s
                if health.status == "starting":
                    wait_s = pace.wait_s(elapsed_s=ended_s, took_s=max(0, ended_s - began_s))
                await asyncio.sleep(wait_s)

    def _note(self, health: Health, probe: Probe, retries: int, counts: bool) -> None:
        """Written and told only where something changed: extra probes are many."""
        before = (health.status, health.failing_streak)
        apply(health, probe, retries=retries, counts=counts)
        if (health.status, health.failing_streak) != before:
            self.changed()
        if health.status != before[0]:
            self.publish(f"health_status: {health.status}")


async def _result(probe: ProbeCall, timeout_s: float) -> ProbeResult:
    try:
        result = await probe(timeout_s)
    except (StackrError, OSError) as error:
        return ProbeResult(-1, str(error))
    if not result.timed_out:
        return result
    text = f"Health check exceeded timeout ({timeout_s:g}s)"
    return ProbeResult(-1, f"{text}: {result.output}" if result.output else text)
