"""A worker: a fork of the warm server that takes the place of the process that called it.

It becomes as the caller is in all that a command could notice, or declines before anything is
begun, and the caller then runs its command itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn, TextIO

from stackr.cli.main import main as run_command
from stackr.warm import place
from stackr.warm.message import READY, receive, send

__all__ = ["CALLER", "FRESH", "STALE", "run"]

CALLER, FRESH, STALE = b"c", b"f", b"s"
"""What the server tells a worker: here is your caller (with the descriptor of its connection), and
then whether the code on the disk is still the one that was imported."""

_PATIENCE_S = 10.0
_HIGH_FD = 600
_READ_BYTES = 1 << 16
_SAME_STATUS = (
    "Uid",
    "Gid",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
)
_CGROUPS = "/sys/fs/cgroup"
_RLIMITS = sorted({getattr(resource, name) for name in dir(resource) if name[:7] == "RLIMIT_"})
_VALID_SIGNALS = sorted(int(number) for number in signal.valid_signals())


class _Declined(Exception):
    """Why this process cannot take the caller's place."""


def run(server: socket.socket) -> NoReturn:
    """Wait for a caller, take its place, and end as its command ends."""
    ours = _Surroundings.of("self")
    told, given, _, _ = socket.recv_fds(server, 1, 1)
    if told != CALLER or not given:
        os._exit(0)  # the server is gone
    connection = socket.socket(fileno=given[0])
    try:
        connection.settimeout(_PATIENCE_S)
        request, fds = receive(connection)
        connection.settimeout(None)
        if request is None:
            os._exit(0)
        high = max(_HIGH_FD, *request["streams"], *request["extra"]) + 1
        connection, server = _moved(connection, high), _moved(server, high)
        _become(connection, request, fds, high, ours)
        if server.recv(1) != FRESH:
            raise _Declined("the installed code has changed")
        server.close()
        if receive(connection)[0] != READY:
            raise _Declined("the caller has ended")
    except (_Declined, OSError, ValueError, TypeError, KeyError, EOFError) as error:
        _decline(connection, str(error) or type(error).__name__)
    send(connection, ("accepted", os.getpid()))

    def tell(code: int) -> None:
        # With threads the end is later, and the server tells it.
        if threading.active_count() == 1:
            with contextlib.suppress(OSError):
                send(connection, ("exit", code))

    run_command(at_end=tell)


class _Surroundings(NamedTuple):
    """What a process sees, and may do, of which nobody else can change anything."""

    namespaces: dict[str, str]
    root: os.stat_result
    status: dict[str, str]
    label: str

    @classmethod
    def of(cls, pid: int | str) -> _Surroundings:
        names = os.listdir("/proc/self/ns")
        return cls(
            {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in names},
            os.stat(f"/proc/{pid}/root"),
            _status(pid),
            _label(pid),
        )

    def check_same(self, other: _Surroundings) -> None:
        """Raises _Declined for what is another."""
        for name, namespace in self.namespaces.items():
            if other.namespaces.get(name) != namespace:
                raise _Declined(f"another {name} namespace")
        if not os.path.samestat(self.root, other.root):
            raise _Declined("another root folder")
        for name in _SAME_STATUS:
            if self.status.get(name) != other.status.get(name):
                raise _Declined(f"another {name}")
        if self.label != other.label:
            raise _Declined("another label of a security module")


def _decline(connection: socket.socket, why: str) -> NoReturn:
    with contextlib.suppress(OSError):
        send(connection, ("declined", why))
    os._exit(0)


def _caller_pid(connection: socket.socket) -> int:
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", data)[0])


def _moved(connection: socket.socket, high: int) -> socket.socket:
    """The same, with a number that is out of the way of the caller's descriptors."""
    with connection:
        return socket.socket(fileno=fcntl.fcntl(connection, fcntl.F_DUPFD_CLOEXEC, high))


def _become(
    connection: socket.socket,
    request: dict[str, Any],
    fds: Sequence[int],
    high: int,
    ours: _Surroundings,
) -> None:
    """Take over all that the caller is. high: below it are the caller's descriptors alone.

    Raises _Declined, OSError for what the kernel refuses, and ValueError for a limit above ours.
    """
    if request["key"] != place.key():
        raise _Declined("another interpreter, or other settings of it")
    pid = _caller_pid(connection)
    theirs = _Surroundings.of(pid)
    caller = theirs.status
    os.setpgid(0, 0)
    ours.check_same(theirs)
    _join_groups([int(word) for word in caller["Groups"].split()])
    _join_cgroups(pid)
    os.setpriority(os.PRIO_PROCESS, 0, request["nice"])
    os.sched_setaffinity(0, request["affinity"])
    _write("/proc/self/oom_score_adj", _read(f"/proc/{pid}/oom_score_adj"))
    os.umask(request["umask"])
    _place_fds(request, fds, high)
    for number in _RLIMITS:  # our descriptors' numbers may be above
        _limit(number, resource.prlimit(pid, number))
    os.environb.clear()
    os.environb.update(request["environ"])
    time.tzset()
    sys.argv = request["argv"]
    _open_streams()
    _reset_signals(_signals(caller["SigIgn"]), _signals(caller["SigBlk"]))


def _status(pid: int | str) -> dict[str, str]:
    lines = (line.partition(":") for line in _read(f"/proc/{pid}/status").splitlines())
    return {name: value.strip() for name, _, value in lines}


def _signals(field: str) -> list[int]:
    """The numbers in a set of signals (proc_pid_status(5): bit 0 is signal 1)."""
    mask = int(field, 16)
    return [number for number in _VALID_SIGNALS if mask >> (number - 1) & 1]


def _label(pid: int | str) -> str:
    with contextlib.suppress(OSError):
        return _read(f"/proc/{pid}/attr/current")
    return ""


def _join_groups(theirs: list[int]) -> None:
    if sorted(os.getgroups()) != sorted(theirs):
        os.setgroups(theirs)


def _join_cgroups(pid: int) -> None:
    """In every hierarchy, the caller's control group."""
    ours = _read("/proc/self/cgroup").splitlines()
    for line in _read(f"/proc/{pid}/cgroup").splitlines():
        if line not in ours:
            _, controllers, path = line.split(":", 2)
            folders = [controllers.removeprefix("name=")] if controllers else ["", "unified"]
            _enter([f"{_CGROUPS}/{folder}/{path}/cgroup.procs" for folder in folders])


def _enter(files: list[str]) -> None:
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            return _write(file, str(os.getpid()))
    raise _Declined("another control group")


def _limit(number: int, limits: tuple[int, int]) -> None:
    if resource.getrlimit(number) != limits:
        resource.setrlimit(number, limits)


def _place_fds(request: dict[str, Any], fds: Sequence[int], high: int) -> None:
    """The caller's descriptors at their numbers, and nothing else below ours."""
    folder, held, *given = fds
    wanted = [*request["streams"], *request["extra"]]
    if len(given) != len(wanted):
        raise _Declined("descriptors are missing")
    os.fchdir(folder)
    guard = fcntl.fcntl(held, fcntl.F_DUPFD_CLOEXEC, high)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, high) for fd in given]
    os.closerange(0, high)
    for fd, number in zip(moved, wanted, strict=True):
        os.dup2(fd, number)
        os.close(fd)
    _die_with_the_caller(guard)


def _die_with_the_caller(guard: int) -> None:
    """The caller alone holds the other end of this pipe: the kernel kills us when it goes."""
    fcntl.fcntl(guard, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(guard, fcntl.F_SETSIG, int(signal.SIGKILL))
    fcntl.fcntl(guard, fcntl.F_SETFL, fcntl.fcntl(guard, fcntl.F_GETFL) | fcntl.FASYNC)
    if not _has_writer(guard):
        os.kill(os.getpid(), signal.SIGKILL)


def _has_writer(guard: int) -> bool:
    poll = select.poll()
    poll.register(guard, 0)
    return not poll.poll(0)


def _open_streams() -> None:
    """Text streams as Python makes them at its start; None for one that is closed."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        stream = _open_stream(number, mode, like=getattr(sys, name))
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _open_stream(number: int, mode: str, like: TextIO) -> TextIO | None:
    try:
        os.fstat(number)
    except OSError:
        return None
    assert isinstance(like, io.TextIOWrapper)
    raw = io.FileIO(number, mode, closefd=False)
    is_terminal = raw.isatty()
    buffer: Any = raw
    if not like.write_through:
        buffer = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer,
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=is_terminal or number == 2,
        write_through=like.write_through,
    )


def _reset_signals(ignored: Sequence[int], blocked: Sequence[int]) -> None:
    for number in _VALID_SIGNALS:
        wanted = signal.SIG_IGN if number in ignored else signal.SIG_DFL
        if signal.getsignal(number) not in (wanted, None):
            signal.signal(number, wanted)
    if signal.SIGINT not in ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _read(path: str) -> str:
    """A small file of /proc: a text file's object takes thrice as many system calls."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while part := os.read(fd, _READ_BYTES):
            data += part
    finally:
        os.close(fd)
    return data.decode(errors="surrogateescape")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
