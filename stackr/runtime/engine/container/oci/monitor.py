"""The monitor of a container: conmon, which holds its output, its exit code and its attach socket.

The monitor outlives the daemon. Its files are in the bundle: `exit` (the exit code, written last),
`oom` (there where the kernel killed for want of memory), `attach` (socket), `ctl` (FIFO).
Source: conmon(8) and its protocol: the sync pipe carries {"data": pid, "message": ...}; an attach
message is one byte for the stream (2 stdout, 3 stderr) and the bytes; "1 HEIGHT WIDTH" on `ctl`
resizes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stackr.errors import DeadlineExceeded, Internal, Unavailable
from stackr.runtime.engine.container.oci.runtime import OciRuntime
from stackr.runtime.engine.container.records.record import Running
from stackr.runtime.engine.linux.launcher_client import (
    Borrowed,
    DeviceTarget,
    Launcher,
    OverlayTarget,
    Part,
    SharedTarget,
    kill_launched,
    read_line,
)
from stackr.runtime.engine.linux.process import Process, boot_id, start_ticks

__all__ = [
    "ExitReport",
    "Monitor",
    "MonitorError",
    "MonitorOptions",
    "connect_attach",
    "find_conmon",
]

_SYNC_FD = 3
_CREATE_TIMEOUT_S = 60.0
# Both runtimes set the environment by putenv(3) or setenv(3), which look at all that is there:
# 1.3 s for 30,000 variables on an idle processor, 15 s for 100,000, and here ten times as much.
_THOUSANDS_SQUARED_S = 0.015


class MonitorError(Internal):
    """The monitor ended before there was a container; the message is the OCI runtime's own."""


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """log: the file for the output, None for no log. log_size_max: bytes, 0 for no limit.

    keep_stdin: the end of one attached client's input is not the end of the program's.
    variables: how many the environment has.
    """

    tty: bool
    stdin: bool
    keep_stdin: bool
    log: Path | None
    log_size_max: int = 0
    variables: int = 0

    @property
    def patience_s(self) -> float:
        """How long the OCI runtime may take to make the container."""
        return _CREATE_TIMEOUT_S + _THOUSANDS_SQUARED_S * (self.variables / 1000) ** 2


@dataclass(frozen=True, slots=True)
class ExitReport:
    """known: False where the monitor died without a word, and the exit code is 137 for that."""

    exit_code: int
    finished_ns: int
    oom: bool
    known: bool = True


def find_conmon() -> str:
    """Raises Unavailable where it is not installed."""
    path = shutil.which("conmon", path="/usr/local/bin:/usr/bin:/usr/libexec/podman:/usr/sbin:/bin")
    if path is None:
        raise Unavailable("engine: conmon not found", hint="install the package conmon")
    return path


class Monitor:
    """Starts monitors; what it knows of one is in the bundle's folder."""

    def __init__(self, conmon: str, launcher: Launcher, runtime: OciRuntime) -> None:
        self._conmon = conmon
        self._launcher = launcher
        self._runtime = runtime

    async def create(
        self,
        id: str,
        bundle: Path,
        *,
        overlays: Sequence[OverlayTarget],
        devices: Sequence[DeviceTarget],
        parts: Sequence[Part],
        borrowed: Sequence[Borrowed],
        shared: Sequence[SharedTarget],
        options: MonitorOptions,
    ) -> Running:
        """Mount the root file system and what is beside it, start the monitor, and have the
        container created.

        Raises MonitorError where the OCI runtime refuses, InvalidArgument for a part that is not
        there; no process is left then.
        """
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                launched = await self._launcher.spawn(
                    self._arguments(id, bundle, options),
                    fds={_SYNC_FD: writer},
                    env={"_OCI_SYNCPIPE": str(_SYNC_FD), "PATH": os.defpath, "TZ": "UTC"},
                    cwd=bundle,
                    overlays=overlays,
                    devices=devices,
                    parts=parts,
                    borrowed=borrowed,
                    shared=shared,
                )
            finally:
                os.close(writer)
            monitor_pid = await launched.started
            monitor_start = start_ticks(monitor_pid)
            try:
                async with asyncio.timeout(options.patience_s):
                    line = await read_line(reader)
            except TimeoutError as error:
                await kill_launched(launched)
                raise DeadlineExceeded(
                    f"monitor of {id[:12]}: gives no answer in {options.patience_s:.0f} s"
                ) from error
            if not line:
                await launched.ended  # raises where the launcher's child could not be set up
                raise MonitorError("the monitor ended without a message")
            pid = _parse_sync(line)
            return Running(monitor_pid, monitor_start, pid, start_ticks(pid), boot_id())
        finally:
            os.close(reader)

    def _arguments(self, id: str, bundle: Path, options: MonitorOptions) -> list[str]:
        arguments = [self._conmon, "--api-version", "1", "--sync", "--full-attach"]
        arguments += ["-c", id, "-u", id, "-b", str(bundle), "-p", str(bundle / "pid")]
        arguments += ["--persist-dir", str(bundle), "-r", self._runtime.path]
        for argument in self._runtime.global_arguments:
            arguments += ["--runtime-arg", argument]
        arguments += ["-l", f"k8s-file:{options.log}" if options.log else "none"]
        arguments += ["--no-sync-log", "--log-level", "error"]
        if options.log and options.log_size_max:
            arguments += ["--log-size-max", str(options.log_size_max)]
        arguments += ["-t"] if options.tty else []
        arguments += ["-i"] if options.stdin else []
        arguments += ["--leave-stdin-open"] if options.stdin and options.keep_stdin else []
        return arguments

    def find(self, running: Running | None) -> Process | None:
        """The monitor's process, where it still runs."""
        if running is None or running.boot_id != boot_id():
            return None
        return Process.find(running.monitor_pid, running.monitor_start)

    def exit_report(self, bundle: Path) -> ExitReport:
        """What the monitor has left; to be called once it has ended."""
        oom = (bundle / "oom").exists()
        file = bundle / "exit"
        try:
            return ExitReport(int(file.read_text()), file.stat().st_mtime_ns, oom)
        except (OSError, ValueError):
            return ExitReport(137, time.time_ns(), oom, known=False)

    def resize(self, bundle: Path, height: int, width: int) -> None:
        """Change the size of the container's terminal. Raises Internal where none listens."""
        try:
            fd = os.open(bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise Internal(f"resize: the monitor does not listen: {error.strerror}") from error
        try:
            os.write(fd, f"1 {height} {width}\n".encode())
        finally:
            os.close(fd)


def _parse_sync(line: bytes) -> int:
    try:
        answer = json.loads(line, strict=False)
        pid = int(answer["data"])
    except (ValueError, KeyError, TypeError) as error:
        text = line.decode(errors="replace").strip()
        raise MonitorError(f"the monitor's answer is not understood: {text}") from error
    if pid <= 0:
        raise MonitorError(str(answer.get("message") or "the OCI runtime gave no reason"))
    return pid


async def connect_attach(bundle: Path) -> socket.socket:
    """A connection to the container's input and output. Raises Unavailable where nobody listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        folder = os.open(bundle, os.O_PATH | os.O_CLOEXEC)  # socket paths have 107 bytes at most
    except OSError:
        connection.close()
        raise
    try:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, f"/proc/self/fd/{folder}/attach")
    except OSError as error:
        connection.close()
        if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
            raise Unavailable("attach: the container's monitor has ended") from error
        raise
    finally:
        with contextlib.suppress(OSError):
            os.close(folder)
    return connection
