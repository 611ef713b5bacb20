"""Stop the engine's daemon and ask how it does, by its lock file and its socket."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from stackr.errors import DeadlineExceeded, PermissionDenied
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import is_running
from stackr.runtime.engine.lock import holder

__all__ = ["EngineStatus", "status", "stop"]

_ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """pid: of the process that has the data root; answers: whether its socket does.

    warnings: what it has to tell, a line each.
    """

    pid: int | None
    answers: bool
    warnings: Sequence[str] = ()


def status(config: EngineConfig) -> EngineStatus:
    """Raises PermissionDenied for anyone but root, where the engine's files cannot be read."""
    try:
        pid = holder(config.data_root)
    except PermissionError:
        pid = None  # the socket decides, and says so
    answers = is_running(config)
    return EngineStatus(pid, answers, _warnings(config) if answers else ())


def _warnings(config: EngineConfig) -> Sequence[str]:
    """As the engine tells them; none where it does not answer in time."""
    client = http.client.HTTPConnection("engine")
    client.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.sock.settimeout(_ANSWER_S)
    try:
        client.sock.connect(os.fspath(config.socket))
        client.request("GET", "/info")
        told = json.loads(client.getresponse().read()).get("Warnings") or ()
    except (OSError, ValueError, http.client.HTTPException):
        return ()
    finally:
        client.close()
    return [str(warning).removeprefix("WARNING: ") for warning in told]


def stop(config: EngineConfig, *, timeout_s: float) -> bool:
    """End the daemon, and wait for its end; False where none ran. Containers go on.

    Raises PermissionDenied for anyone but root, DeadlineExceeded where it does not end.
    """
    try:
        pid = holder(config.data_root)
        if pid is None:
            return False
        process = os.pidfd_open(pid)
    except PermissionError as error:
        raise PermissionDenied("engine: only root may stop it") from error
    except ProcessLookupError:
        return False
    try:
        if holder(config.data_root) != pid:
            return False  # it ended meanwhile, and the number may be another process's
        signal.pidfd_send_signal(process, signal.SIGTERM)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            raise DeadlineExceeded(f"engine: process {pid} did not end within {timeout_s:g} s")
    finally:
        os.close(process)
    return True
