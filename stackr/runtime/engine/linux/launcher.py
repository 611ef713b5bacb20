"""The launcher: a small process that starts every monitor and OCI runtime command of an engine.

It imports nothing but system calls and a few modules of the standard library: one thread and a
small memory make its forks cheap, where a fork of the daemon would be neither. Each child gets a
mount namespace of its own, a slave of the host's, in which the container's root file system is
mounted; the kernel takes the mount away when the last process in it ends.

Wire (SOCK_SEQPACKET on the descriptor that its argument names, one JSON object a message;
descriptors travel beside the request):
  -> {"id": 1, "argv": [...], "sealed": false, "env": {...}, "cwd": "/", "fds": [0, 1, 3],
      "tty": false, "oom_score_adj": null, "hide": [...],
      "shared": [{"source": ..., "target": ...}],
      "borrowed": [{"namespace": "/proc/1/ns/mnt", "path": ..., "target": ...}],
      "overlays": [{"base_dir": ..., "options": ..., "target": ...}],
      "parts": [{"root": ..., "path": ..., "target": ..., "as_root": false, "recursive": true,
      "read_only": false}]}
  <- {"id": 1, "pid": 4711}      started; sent by the launcher
  <- {"id": 1, "error": "..."}   could not be set up; sent by the child, which then exits; with
     {"part": {...}, "errno": 2}   where one of the parts is at fault
  <- {"id": 1, "exit": 0}        ended: an exit code, or 128 + signal
"""

import errno
import fcntl
import json
import os
import select
import signal
import socket
import stat
import termios
from contextlib import suppress

from stackr.runtime.engine.linux import syscalls
from stackr.runtime.engine.linux.sealed import FIRST_SPARE_FD, SealedPrograms

MAX_MESSAGE = 256 * 1024
MAX_FDS = 8


class PartError(Exception):
    """A part of a request's cannot be opened; number: the errno."""

    def __init__(self, part: dict[str, object], number: int) -> None:
        super().__init__(f"{part['path']}: {os.strerror(number)}")
        self.part = part
        self.number = number


class DeviceError(Exception):
    """A file system of a request's cannot be mounted; the text says which, and why."""


def open_inside(root: str, path: str, resolve: int) -> int:
    """A path below `root`, which no symlink leads out of; those of /proc do not work.

    resolve: RESOLVE_IN_ROOT has an absolute symlink start at the root, RESOLVE_BENEATH fail.
    """
    base = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = resolve | syscalls.RESOLVE_NO_MAGICLINKS
        return syscalls.open_at(base, os.fsencode(path), os.O_PATH, resolve=flags)
    finally:
        os.close(base)


def attach(tree: int, target: str) -> None:
    """Mount a copied tree at a path, whose last name is no symlink."""
    place = os.open(target, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        syscalls.move_mount(tree, place)
    finally:
        os.close(place)


def mount_part(part: dict[str, object]) -> None:
    """Mount what is at a path below a root at "target", which is made here and of the same kind."""
    target = str(part["target"])
    resolve = syscalls.RESOLVE_IN_ROOT if part["as_root"] else syscalls.RESOLVE_BENEATH
    try:
        place = open_inside(str(part["root"]), str(part["path"]), resolve)
    except OSError as error:
        raise PartError(part, error.errno or 0) from error
    tree = syscalls.clone_tree(place, recursive=bool(part["recursive"]))
    if part["read_only"]:
        syscalls.set_mount_attributes(tree, syscalls.MOUNT_ATTR_RDONLY, recursive=True)
    if stat.S_ISDIR(os.fstat(place).st_mode):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    attach(tree, target)
    os.close(place)
    os.close(tree)


def borrow(namespace: str, path: str, target: str, *, is_mounted: bool = False) -> None:
    """Mount at `target` what another mount namespace has at `path`, as seen from its root.

    is_mounted: it has to be another file system than the folder that it is in. Raises OSError.
    """
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    away = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(away, syscalls.CLONE_NEWNS)
    try:
        place = open_inside("/", path.lstrip("/"), syscalls.RESOLVE_IN_ROOT)
        if is_mounted and os.fstat(place).st_dev == os.stat(os.path.dirname(path)).st_dev:
            raise OSError(errno.ENOENT, f"{path}: nothing is mounted there")
        tree = syscalls.clone_tree(place, recursive=False)
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNS)
    attach(tree, target)
    for fd in (home, away, place, tree):
        os.close(fd)


def mount_device(device: dict[str, object]) -> None:
    """Mount a file system, the very one that another container has where there is one."""
    target = str(device["target"])
    for namespace, path in device["lenders"]:  # type: ignore[attr-defined]
        try:
            borrow(namespace, path, target, is_mounted=True)
        except OSError:
            continue  # that container has ended meanwhile
        return
    source, fstype, data = (str(device[key]) for key in ("source", "fstype", "data"))
    try:
        syscalls.mount(source, target, fstype, int(str(device["flags"])), data)
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise DeviceError(f"{device['failure']}: {why}") from error


def clone_shared(mount: dict[str, str]) -> tuple[int, str]:
    """A copy of a mount of the host's, and where it goes: what is mounted in the one is in the
    other, too, as long as it is made before this namespace stops to tell the host of its mounts.
    """
    place = os.open(mount["source"], os.O_PATH | os.O_CLOEXEC)
    try:
        return syscalls.clone_tree(place, recursive=True), mount["target"]
    finally:
        os.close(place)


def private_namespace(hide: list[str]) -> None:
    """A new mount namespace: the host's later mounts come in, ours do not go out.

    hide: mount points taken out of sight where they exist (crun refuses a hybrid cgroup hierarchy).
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.receive_mounts()
    for path in hide:
        with suppress(OSError):
            syscalls.unmount(path)


def _place_fds(received: list[int], wanted: list[int]) -> None:
    """Give each received descriptor the number the program expects; the rest close on exec."""
    spare = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_SPARE_FD) for fd in received]
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number in (0, 1, 2):
        os.dup2(null, number)
    for fd, number in zip(spare, wanted, strict=True):
        os.dup2(fd, number)


def _become(request: dict[str, object], received: list[int], program: int | str) -> None:
    """In the child: namespaces, mounts, descriptors, exec; returns only by an exception."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    shared = [clone_shared(mount) for mount in request["shared"]]  # type: ignore[attr-defined]
    private_namespace(request["hide"])  # type: ignore[arg-type]
    for tree, target in shared:
        attach(tree, target)
        os.close(tree)
    for tree in request["borrowed"]:  # type: ignore[attr-defined]
        borrow(tree["namespace"], tree["path"], tree["target"])
    for overlay in request["overlays"]:  # type: ignore[attr-defined]
        os.chdir(overlay["base_dir"])
        syscalls.mount("overlay", overlay["target"], "overlay", 0, overlay["options"])
    for device in request["devices"]:  # type: ignore[attr-defined]
        mount_device(device)
    for part in request["parts"]:  # type: ignore[attr-defined]
        mount_part(part)
    os.chdir(str(request["cwd"]))
    _place_fds(received, request["fds"])  # type: ignore[arg-type]
    if request["tty"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if request["oom_score_adj"] is not None:
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(request["oom_score_adj"]))
    argv: list[str] = request["argv"]  # type: ignore[assignment]
    os.execve(program, argv, request["env"])  # type: ignore[arg-type]


def _send(connection: socket.socket, message: dict[str, object]) -> None:
    connection.sendall(json.dumps(message).encode())


def _fork(
    connection: socket.socket,
    request: dict[str, object],
    received: list[int],
    program: int | str,
) -> int:
    """The child's pid; 0 where there can be none, which is told as the child's end."""
    try:
        pid = os.fork()
    except OSError as error:
        why = f"no more processes can be started: {error.strerror}"
        _send(connection, {"id": request["id"], "error": why})
        _send(connection, {"id": request["id"], "exit": 125})
        return 0
    if pid:
        return pid
    try:
        _become(request, received, program)
    except PartError as error:
        told = {"part": error.part, "errno": error.number}
        _send(connection, {"id": request["id"], "error": str(error), **told})
    except DeviceError as error:
        _send(connection, {"id": request["id"], "error": str(error), "device": True})
    except OSError as error:
        why = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _send(connection, {"id": request["id"], "error": why})
    except BaseException as error:
        _send(connection, {"id": request["id"], "error": str(error)})
    os._exit(125)


def _reap(connection: socket.socket, running: dict[int, int]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        id = running.pop(pid, None)
        if id is not None:
            code = os.waitstatus_to_exitcode(status)
            _send(connection, {"id": id, "exit": code if code >= 0 else 128 - code})


def _serve(connection: socket.socket, wakeup: socket.socket) -> None:
    running: dict[int, int] = {}
    programs = SealedPrograms()
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == wakeup.fileno():
                wakeup.recv(4096)
                continue
            data, received, _, _ = socket.recv_fds(connection, MAX_MESSAGE, MAX_FDS)
            if not data:
                return
            for number in received:
                os.set_inheritable(number, False)  # recv_fds drops the flags it is given
            request = json.loads(data)
            program = request["argv"][0]
            if request["sealed"]:
                program = programs.find(program)
            pid = _fork(connection, request, received, program)
            for number in received:
                os.close(number)
            if pid:
                running[pid] = request["id"]
                _send(connection, {"id": request["id"], "pid": pid})
        _reap(connection, running)


def main(arguments: list[str]) -> None:
    """Serve until the daemon's end of the socket closes; children go on without the launcher."""
    os.umask(0o022)
    os.chdir("/")
    syscalls.adopt_orphans()
    connection = socket.socket(fileno=int(arguments[0]))
    connection.set_inheritable(False)
    wakeup, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    try:
        _serve(connection, wakeup)
    except (BrokenPipeError, ConnectionResetError):
        return  # the daemon is gone
