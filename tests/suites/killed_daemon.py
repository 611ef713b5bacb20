"""Processes, an engine's daemon above all, that end as by the kernel."""

from __future__ import annotations

import contextlib
import os
import select
import signal

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.lock import holder

__all__ = ["kill_daemon", "kill_process"]

_DEADLINE_S = 60.0


def kill_daemon(config: EngineConfig) -> None:
    """Where one runs. It has closed all that it had open then: its lock goes before its socket."""
    pid = holder(config.data_root)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            kill_process(pid)


def kill_process(pid: int) -> None:
    """Returns once it has ended, reaped or not. Raises ProcessLookupError where there is none."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        end = select.poll()
        end.register(process, select.POLLIN)
        assert end.poll(1000 * _DEADLINE_S), f"process {pid} goes on"
    finally:
        os.close(process)
