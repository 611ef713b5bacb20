"""Start the engine's daemon in the background, and find out whether it runs.

Runs in the command line's process, so it imports little. Concurrent starters queue on a lock; the
daemon tells through a pipe that it is ready, or why it is not.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

from stackr.errors import PermissionDenied, StackrError, Unavailable
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.lock import holder
from stackr.runtime.engine.roots import make_root, make_way
from stackr.runtime.socket_access import access_hint

__all__ = [
    "DAEMON_MODULE",
    "LISTEN_AGAIN",
    "daemon_argv",
    "ensure_running",
    "is_running",
    "log_path",
]

DAEMON_MODULE = "stackr.runtime.engine.daemon"
LISTEN_AGAIN = signal.SIGUSR1
"""Tells the daemon that its socket is gone."""

_READY_FD = 3
_ROOTS = ("data-root", "exec-root")
_LISTENS_WITHIN_S = 5.0
_POLL_MS = 50
_AS_ROOT = "run it with sudo, or let a group use the engine: sudo stackr engine install"
_LOG_BYTES = 1 << 20
_MESSAGE_BYTES = 64 * 1024


def log_path(config: EngineConfig) -> Path:
    """Where a daemon in the background writes its log."""
    return config.exec_root / "engine.log"


def is_running(config: EngineConfig) -> bool:
    """Whether a daemon answers on the socket. Raises PermissionDenied."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(os.fspath(config.socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except PermissionError as error:
            raise PermissionDenied(
                f'engine: permission denied on its socket "{config.socket}"',
                hint=access_hint(config.socket, _AS_ROOT),
            ) from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                return False  # nobody's socket
            raise Unavailable(f'engine: socket "{config.socket}": {error.strerror}') from error
    return True


def ensure_running(config: EngineConfig) -> None:
    """Return once the daemon answers; start it where it does not run.

    Raises PermissionDenied for anyone but root, Unavailable or the daemon's own error where the
    start fails.
    """
    if is_running(config):
        return
    if os.geteuid() != 0:
        raise PermissionDenied(
            "engine: it does not run, and only root may start it",
            hint=_AS_ROOT,
        )
    make_root(config.exec_root)
    make_way(config.exec_root / "start.lock")
    lock = os.open(config.exec_root / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_running(config) and not _listens_again(config):
            _start(config)
    finally:
        os.close(lock)


def _listens_again(config: EngineConfig) -> bool:
    """Whether a daemon runs that nobody can reach, as its socket was removed, and now can be."""
    pid = holder(config.data_root)
    if pid is None:
        return False
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if holder(config.data_root) != pid:
            return False
        signal.pidfd_send_signal(process, LISTEN_AGAIN)
        end = select.poll()  # and not select(), for which a large program's numbers are too high
        end.register(process, select.POLLIN)
        deadline = time.monotonic() + _LISTENS_WITHIN_S
        while not is_running(config) and time.monotonic() < deadline:
            if end.poll(_POLL_MS):
                return False
        return is_running(config)
    finally:
        os.close(process)


def daemon_argv(config: EngineConfig, *arguments: str) -> list[str]:
    """The command that runs the daemon; -P keeps the working folder off its module path."""
    argv = [sys.executable, "-P", "-m", DAEMON_MODULE]
    argv += ["--data-root", os.fspath(config.data_root), "--exec-root", os.fspath(config.exec_root)]
    if config.file is not None:
        argv += ["--config-file", os.fspath(config.file.absolute())]
    flags = {key: value for key, value in config.flags.items() if key not in _ROOTS}
    if flags:
        argv += ["--flags", json.dumps(flags)]
    return [*argv, *arguments]


def _start(config: EngineConfig) -> None:
    log = log_path(config)
    make_way(log)
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    reader, writer = os.pipe()
    try:
        pid = os.posix_spawn(
            sys.executable,
            daemon_argv(config, "--detach", "--ready-fd", str(_READY_FD)),
            _environment(),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, writer, _READY_FD),
            ],
        )
        os.close(writer)
        writer = -1
        message = _read_all(reader)
        os.waitpid(pid, 0)  # the daemon itself is its child, and nobody's zombie
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    if not is_running(config):
        raise _start_error(message, log)


def _environment() -> dict[str, str]:
    """Ours, without systemd's; glibc gives freed memory back, of which a daemon keeps much, but for
    a few MB: buffers of 256 KB, each mapped and cleared anew, were half the cost of a context.
    """
    kept = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
    return {
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_MMAP_THRESHOLD_": "2097152",
        "MALLOC_TRIM_THRESHOLD_": "4194304",
        **kept,
    }


def _read_all(fd: int) -> bytes:
    message = b""
    while len(message) < _MESSAGE_BYTES and (chunk := os.read(fd, _MESSAGE_BYTES)):
        message += chunk
    return message


def _start_error(message: bytes, log: Path) -> StackrError:
    try:
        told = json.loads(message)
    except ValueError:
        return Unavailable("engine: it ended while it started", hint=f"its log is {log}")
    if "error" in told:
        return Unavailable(told["error"], hint=told["hint"])
    return Unavailable("engine: it ended once it had started", hint=f"its log is {log}")
