"""The launcher: a small process that starts every monitor and OCI runtime command of an engine.

It is a program of its own, run as `python -I -S launcher.py FD`, and imports nothing but a few
modules of the standard library: one thread and a small memory make its forks cheap, where a fork
of the daemon would be neither. Each child gets a mount namespace of its own, a slave of the
host's, in which the container's root file system is mounted; the kernel takes the mount away when
the last process in it ends.

Wire (SOCK_SEQPACKET on FD, one JSON object a message; descriptors travel beside the request):
  -> {"id": 1, "argv": [...], "env": {...}, "cwd": "/", "fds": [0, 1, 3], "tty": false, "hide":
  [...],
      "borrowed": [{"namespace": "/proc/1/ns/mnt", "path": ..., "target": ...}],
      "overlays": [{"base_dir": ..., "options": ..., "target": ..., "part": ...}]}
  <- {"id": 1, "pid": 4711}      started; sent by the launcher
  <- {"id": 1, "error": "..."}   could not be set up; sent by the child, which then exits
  <- {"id": 1, "exit": 0}        ended: an exit code, or 128 + signal
"""

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import sys
import termios

MAX_MESSAGE = 256 * 1024
MAX_FDS = 8

CLONE_NEWNS = 0x00020000
MNT_DETACH = 2
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 1 << 19
PR_SET_CHILD_SUBREAPER = 36
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_IN_ROOT = 0x10
AT_FDCWD = -100
MOVE_MOUNT_F_EMPTY_PATH = 4
OPEN_TREE_CLONE = 1
SYS_move_mount = 429
SYS_open_tree = 428
SYS_openat2 = 437

_FIRST_SPARE_FD = 32

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _check(result: int, what: str) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")


def mount(source: str, target: str, fstype: str, flags: int, options: str) -> None:
    """mount(2); paths may be relative to the working directory."""
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            fstype.encode(),
            ctypes.c_ulong(flags),
            os.fsencode(options),
        ),
        f"mount {fstype or source} on {target}",
    )


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def open_inside(folder: str, path: str) -> int:
    """openat2(2): a path below `folder`, which no symlink leads out of."""
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    found = _libc.syscall(SYS_openat2, root, os.fsencode(path), ctypes.byref(how), size)
    errno = ctypes.get_errno()
    os.close(root)
    if found < 0:
        raise OSError(errno, f"{path}: {os.strerror(errno)}")
    return int(found)


def mount_part(target: str, path: str) -> None:
    """Mount what is at `path` below `target` at "TARGET.part", which must be of the same kind."""
    fd = open_inside(target, path)
    mount(f"/proc/self/fd/{fd}", f"{target}.part", "", MS_BIND, "")
    os.close(fd)


def borrow(namespace: str, path: str, target: str) -> None:
    """Mount at `target` what another mount namespace has at `path`, as seen from its root."""
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    away = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    _check(_libc.setns(away, CLONE_NEWNS), "join a mount namespace")
    tree = _libc.syscall(SYS_open_tree, AT_FDCWD, os.fsencode(path), OPEN_TREE_CLONE | os.O_CLOEXEC)
    errno = ctypes.get_errno()
    _check(_libc.setns(home, CLONE_NEWNS), "leave a mount namespace")
    if tree < 0:
        raise OSError(errno, f"{path}: {os.strerror(errno)}")
    moved = _libc.syscall(
        SYS_move_mount, tree, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH
    )
    _check(moved, f"mount {path} on {target}")
    for fd in (home, away, tree):
        os.close(fd)


def private_namespace(hide: list[str]) -> None:
    """A new mount namespace: the host's later mounts come in, ours do not go out.

    hide: mount points taken out of sight where they exist (crun refuses a hybrid cgroup hierarchy).
    """
    _check(_libc.unshare(CLONE_NEWNS), "unshare mount namespace")
    mount("", "/", "", MS_REC | MS_SLAVE, "")
    for path in hide:
        _libc.umount2(os.fsencode(path), MNT_DETACH)


def _place_fds(received: list[int], wanted: list[int]) -> None:
    """Give each received descriptor the number the program expects; the rest close on exec."""
    spare = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_SPARE_FD) for fd in received]
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number in (0, 1, 2):
        os.dup2(null, number)
    for fd, number in zip(spare, wanted, strict=True):
        os.dup2(fd, number)


def _become(request: dict[str, object], received: list[int]) -> None:
    """In the child: namespaces, mounts, descriptors, exec; returns only by an exception."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    private_namespace(request["hide"])  # type: ignore[arg-type]
    for tree in request["borrowed"]:  # type: ignore[attr-defined]
        borrow(tree["namespace"], tree["path"], tree["target"])
    for overlay in request["overlays"]:  # type: ignore[attr-defined]
        os.chdir(overlay["base_dir"])
        mount("overlay", overlay["target"], "overlay", 0, overlay["options"])
        if overlay["part"]:
            mount_part(overlay["target"], overlay["part"])
    os.chdir(str(request["cwd"]))
    _place_fds(received, request["fds"])  # type: ignore[arg-type]
    if request["tty"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    argv: list[str] = request["argv"]  # type: ignore[assignment]
    os.execve(argv[0], argv, request["env"])  # type: ignore[arg-type]


def _send(connection: socket.socket, message: dict[str, object]) -> None:
    connection.sendall(json.dumps(message).encode())


def _fork(connection: socket.socket, request: dict[str, object], received: list[int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        _become(request, received)
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
            pid = _fork(connection, request, received)
            for number in received:
                os.close(number)
            running[pid] = request["id"]
            _send(connection, {"id": request["id"], "pid": pid})
        _reap(connection, running)


def main() -> None:
    """Serve until the daemon's end of the socket closes; children go on without the launcher."""
    os.umask(0o022)
    os.chdir("/")
    _check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "become a subreaper")
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    wakeup, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    try:
        _serve(connection, wakeup)
    except (BrokenPipeError, ConnectionResetError):
        return  # the daemon is gone


if __name__ == "__main__":
    main()
