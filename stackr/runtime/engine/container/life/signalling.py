"""The signals that a container's end begins with."""

from __future__ import annotations

import signal

from stackr.runtime.engine.container.announce import announce
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.linux.process import Process
from stackr.runtime.engine.options import EngineOptions

__all__ = ["send_signal", "stop_timeout_s"]


def send_signal(parts: Parts, container: Container, number: int) -> None:
    """To the container's first process; one that has just ended is fine."""
    running = container.running
    if running is None:
        return
    process = Process.find(running.pid, running.pid_start)
    if process is not None:
        with process:
            process.kill(number)
    if number == signal.SIGKILL:
        parts.host.cgroups.kill(parts.groups.path(container))
    announce(parts.events, container, "kill", {"signal": str(int(number))})


def stop_timeout_s(
    container: Container, options: EngineOptions, given: int | None = None
) -> float | None:
    """How long its program has between the two signals; None for ever."""
    asked = (given, container.config.stop_timeout, options.default_stop_timeout)
    timeout_s = next(each for each in asked if each is not None)
    return None if timeout_s < 0 else float(timeout_s)
