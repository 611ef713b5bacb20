"""Stop the engine's daemon and ask how it does, by its lock file and its socket."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from stackr.errors import DeadlineExceeded, PermissionDenied
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import DAEMON_MODULE, is_running
from stackr.runtime.engine.linux.peer import peer_pid
from stackr.runtime.engine.lock import holder

__all__ = ["EngineStatus", "as_it_runs", "status", "stop"]

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
        pid = _daemon(config)
    except PermissionError:
        pid = None  # the socket decides, and says so
    answers = is_running(config)
    return EngineStatus(pid, answers, _warnings(config) if answers else ())


def _daemon(config: EngineConfig) -> int | None:
    """Its process: also of one whose data root, and the lock in it, somebody has removed."""
    pid = holder(config.data_root)
    if pid is not None:
        return pid
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(os.fspath(config.socket))
        except OSError:
            return None
        pid = peer_pid(connection)
    try:  # who listens may be another than who answers: systemd
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    return pid if DAEMON_MODULE.encode() in words else None


def as_it_runs(config: EngineConfig) -> EngineConfig:
    """With the file and the flags that the running daemon was started with, if one runs.

    Raises PermissionDenied for anyone but root.
    """
    try:
        pid = _daemon(config)
        text = Path(f"/proc/{pid}/cmdline").read_text() if pid else ""
    except PermissionError as error:
        raise PermissionDenied("engine: only root may restart it") from error
    except OSError:
        text = ""
    words = text.split("\0")
    given = dict(pairwise(words))
    file, flags = given.get("--config-file"), given.get("--flags")
    return replace(
        config,
        file=Path(file) if file else config.file,
        flags={**(json.loads(flags) if flags else {}), **config.flags},
    )


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
        pid = _daemon(config)
        if pid is None:
            return False
        process = os.pidfd_open(pid)
    except PermissionError as error:
        raise PermissionDenied("engine: only root may stop it") from error
    except ProcessLookupError:
        return False
    try:
        if _daemon(config) != pid:
            return False  # it ended meanwhile, and the number may be another process's
        signal.pidfd_send_signal(process, signal.SIGTERM)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            raise DeadlineExceeded(f"engine: process {pid} did not end within {timeout_s:g} s")
    finally:
        os.close(process)
    return True
