"""Starting and stopping the warm server, from a command that runs without one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

from stackr.warm import place

__all__ = ["running_servers", "start_server", "stop_servers"]

_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


def start_server() -> None:
    """Have a server for the next command, where one may run; nothing is waited for.

    A process that is in namespaces of its own (a container's, a test's) starts none: it would keep
    them from going.
    """
    if place.ready_folder() is None or not _is_at_home():
        return
    with contextlib.suppress(OSError):
        subprocess.Popen(
            [sys.executable, "-m", "stackr.warm.server"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.defpath, "XDG_RUNTIME_DIR": os.path.dirname(place.folder())}
            | place.settings(),
            start_new_session=True,
        )


def _is_at_home() -> bool:
    """Whether this process is in the namespaces of the first one; who may not see that, is."""
    for name in _NAMESPACES:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if os.readlink(f"/proc/self/ns/{name}") != os.readlink(f"/proc/1/ns/{name}"):
                return False
    return True


def running_servers() -> list[int]:
    """The process IDs of this user's servers, of all interpreters and settings."""
    folder = Path(place.folder())
    if not place.is_ours_alone(str(folder)):
        return []
    found = (_server_of(path) for path in sorted(folder.glob("*.sock")))
    return [pid for pid in found if pid]


def _server_of(path: Path) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(path))
            data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        except OSError:
            return 0
    pid, uid, _ = struct.unpack("3i", data)
    return pid if uid == os.geteuid() else 0


def stop_servers() -> int:
    """End this user's servers; commands that they run go on. Returns how many there were."""
    servers = running_servers()
    for pid in servers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    return len(servers)
