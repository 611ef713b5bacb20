"""Health probes that are programs in the container: `CMD` and `CMD-SHELL`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from stackr.runtime.engine.container.announce import announce
from stackr.runtime.engine.container.exec.executor import ExecLaunch, Executor
from stackr.runtime.engine.container.health.probe import ProbeResult
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.settings.spec import ExecCreate
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.linux.descriptors import Descriptors
from stackr.runtime.engine.linux.launcher_client import read_to_end
from stackr.runtime.engine.linux.tree import remove_tree

__all__ = ["CommandProbes"]

_OUTPUT_LIMIT = 4096
_PROBES_FOR_EACH_CPU = 2
_BEGIN_S = 0.2
_NS = 1_000_000_000
_DEFAULT_INTERVAL_S, _START_INTERVAL_S = 30.0, 5.0
_FDS = 12  # that a start has open at a time, the runtime's ends of pipes included


class CommandProbes:
    """Of all containers together."""

    def __init__(self, executor: Executor, descriptors: Descriptors, events: EventBus) -> None:
        self._executor = executor
        self._events = events
        self._descriptors = descriptors
        self._probing = asyncio.Semaphore(_PROBES_FOR_EACH_CPU * (os.cpu_count() or 1))

    def prober(
        self, container: Container, command: Sequence[str]
    ) -> Callable[[float], Awaitable[ProbeResult]]:
        """A call that probes. Of many containers, few begin at a time, as that is what takes a
        processor. One that cannot be killed (it waits for a disk) is the last until it has ended.
        """
        stuck: asyncio.Future[int] | None = None
        pace_s, told_s = _told_every_s(container), -_DEFAULT_INTERVAL_S

        async def probe(timeout_s: float) -> ProbeResult:
            nonlocal stuck, told_s
            if stuck is not None and not stuck.done():
                return ProbeResult(-1, "the health check before has not ended yet")
            async with self._probing:
                is_told = container.uptime_s - told_s >= pace_s
                if is_told:
                    told_s = container.uptime_s
                work = self.probe(container, command, timeout_s, is_told=is_told)
                task = asyncio.ensure_future(work)
                try:
                    await asyncio.wait({task}, timeout=_BEGIN_S)
                except asyncio.CancelledError:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    raise
            result, stuck = await task
            return result

        return probe

    async def probe(
        self,
        container: Container,
        command: Sequence[str],
        timeout_s: float,
        *,
        is_told: bool = True,
    ) -> tuple[ProbeResult, asyncio.Future[int]]:
        """Run a command to its end, and kill it after `timeout_s`; output is cut at 4096 bytes.

        is_told: by events. The second value is done once no process of it is left.
        """
        if not is_told:
            return await self._run(container, command, timeout_s)
        told = partial(self._tell, container, {"execID": secrets.token_hex(32)})
        words = " ".join(command)
        told(f"exec_create: {words}")
        told(f"exec_start: {words}")
        result, ended = await self._run(container, command, timeout_s)
        told("exec_die", exitCode=str(137 if result.timed_out else result.exit_code))
        return result, ended

    def _tell(
        self, container: Container, session: Mapping[str, str], action: str, **more: str
    ) -> None:
        announce(self._events, container, action, {**session, **more})

    async def _run(
        self, container: Container, command: Sequence[str], timeout_s: float
    ) -> tuple[ProbeResult, asyncio.Future[int]]:
        request = ExecCreate(cmd=list(command), attach_stdout=True, attach_stderr=True)
        async with self._descriptors.claim(_FDS):
            reader, writer = os.pipe2(os.O_CLOEXEC)
        launch: ExecLaunch | None = None
        output: asyncio.Task[bytes] | None = None
        try:
            try:
                launch = await self._executor.launch(container, request, {1: writer, 2: writer})
            finally:
                os.close(writer)
            output = asyncio.get_running_loop().create_task(read_to_end(reader, _OUTPUT_LIMIT))
            try:
                async with asyncio.timeout(timeout_s):
                    exit_code = await asyncio.shield(launch.launched.ended)
            except TimeoutError:
                await self._executor.kill(launch, container)
                late = ProbeResult(-1, _partial_output(output), timed_out=True)
                return late, launch.launched.ended
            failure = launch.failure()
            if failure is not None:
                return ProbeResult(failure.exit_code, failure.message), launch.launched.ended
            with contextlib.suppress(TimeoutError):
                # a child that the probe left behind may hold the pipe
                await asyncio.wait_for(asyncio.shield(output), 0.5)
            return ProbeResult(exit_code, _partial_output(output)), launch.launched.ended
        except asyncio.CancelledError:
            if launch is not None:
                await self._executor.kill(launch, container)
            raise
        finally:
            if output is not None:
                output.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await output
            os.close(reader)
            if launch is not None:
                remove_tree(launch.folder)


def _told_every_s(container: Container) -> float:
    """The probes that Docker makes: of the many of a container that starts, few are events."""
    check = container.config.healthcheck
    interval_s = (check.interval if check else 0) / _NS or _DEFAULT_INTERVAL_S
    return 0.9 * min(interval_s, _START_INTERVAL_S)


def _partial_output(output: asyncio.Task[bytes]) -> str:
    if output.done() and not output.cancelled() and output.exception() is None:
        return output.result().decode(errors="replace")
    return ""
