"""What the shell starts as `stackr`: a small process that has its command run by the warm server.

It imports next to nothing, for its start is what a quick command costs. Of 22 ms of processor time
8 were for Python's half of `socket`, and for the `enum` that it and `signal` share: so the C halves
are used here. Where there is no server, or it cannot do exactly as this process would, the command
runs here, and is only slower.
"""

from __future__ import annotations

import os
import sys
from _socket import AF_UNIX, SOCK_STREAM
from _socket import socket as Socket

from stackr.warm import place
from stackr.warm.message import MOST_FDS, receive, send
from stackr.warm.relay import Relay

TYPE_CHECKING = False  # typing's own would import it, which takes as long as all the rest
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["is_off", "is_wanted", "main"]

_GONE: tuple[str, Any] = ("gone", "it is gone")
_OFF = ("0", "no", "off", "false")
_ENDS = ("exit", "signal")
_INTERRUPTED = 130
_SIGKILL = 9


def main() -> NoReturn:
    """Run the command that `sys.argv` names, and end as it ends."""
    wanted = is_wanted()
    try:
        ended = _through_server() if wanted else None
    except KeyboardInterrupt:  # before there was somebody to pass it on to
        os._exit(_INTERRUPTED)
    if ended is not None:
        _end_as(*ended)
    from stackr.cli.main import main as run_here
    from stackr.warm.launch import start_server

    run_here(at_end=(lambda code: start_server()) if wanted else None)


def is_wanted() -> bool:
    """Whether this command may be run by another process at all.

    A command that hands the terminal to programs of the host (`test`, a connection by ssh) or
    draws all of it (`ui`) has to be in the session of that terminal; so has one that the shell has
    put in the background.
    """
    environ = os.environ
    if is_off() or "LISTEN_FDS" in environ:
        return False
    if "test" in sys.argv or _is_ui(sys.argv) or any("ssh://" in word for word in sys.argv):
        return False
    if any("ssh://" in environ.get(name, "") for name in ("STACKR_ENGINE", "DOCKER_HOST")):
        return False
    return "_STACKR_COMPLETE" in environ or not _is_in_background()


def _is_ui(words: list[str]) -> bool:
    """Whether `ui` is the command: nothing but options, and their values, is before it.

    After an option without a value it may be a service, and the start is slower for nothing.
    """
    at = words.index("ui") if "ui" in words else 0
    return at == 1 or (at > 1 and (words[at - 1].startswith("-") or words[at - 2].startswith("-")))


def is_off() -> bool:
    """Whether the user wants no warm process."""
    return os.environ.get("STACKR_WARM", "1").lower() in _OFF


def _is_in_background() -> bool:
    for fd in range(3):
        try:
            return os.tcgetpgrp(fd) != os.getpgrp()
        except OSError:
            continue
    return False


def _through_server() -> tuple[str, int] | None:
    """How the command ended; None where it was not begun."""
    if not place.is_ours_alone(place.folder()):
        return None
    closed = _fill_streams()
    connection = Socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(place.socket_path())
    except OSError:
        connection.close()
        return None
    try:
        return _ask(connection, closed)
    finally:
        connection.close()


def _fill_streams() -> list[int]:
    """Put /dev/null where a standard stream is closed, so that nothing of ours gets its number.

    Returns the numbers of those that were closed.
    """
    closed = [fd for fd in range(3) if not _is_open(fd)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)
    return closed


def _ask(connection: Socket, closed: list[int]) -> tuple[str, int] | None:
    """Have the command run by a worker behind `connection`; None where it was not begun."""
    streams = [fd for fd in range(3) if fd not in closed]
    held_reader, held_writer = os.pipe()
    try:
        extra = _extra_fds({connection.fileno(), held_reader, held_writer})
        if len(extra) + 5 > MOST_FDS:
            return None
        folder = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            request = _request(streams, extra)
            send(connection, request, [folder, held_reader, *streams, *extra])
        finally:
            os.close(folder)
            os.close(held_reader)
            held_reader = -1
        return _follow(connection)
    except OSError:
        return None
    finally:
        # The worker is killed by the kernel once this end is closed: by our death, at the latest.
        os.close(held_writer)
        if held_reader >= 0:
            os.close(held_reader)


def _request(streams: list[int], extra: list[int]) -> dict[str, object]:
    """What of this process its worker has to take over, beside what /proc tells of it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "key": place.key(),
        "argv": list(sys.argv),
        "environ": dict(os.environb),
        "streams": streams,
        "extra": extra,
        "umask": umask,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "affinity": sorted(os.sched_getaffinity(0)),
    }


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _extra_fds(own: set[int]) -> list[int]:
    """What the caller has left open beside the streams: `stackr -f <(generate) up`."""
    listed = {int(name) for name in os.listdir("/proc/self/fd")} - own
    return sorted(fd for fd in listed if fd > 2 and _is_open(fd) and os.get_inheritable(fd))


def _follow(connection: Socket) -> tuple[str, int] | None:
    """Pass signals on until the worker has ended; None where it declines or never began."""
    relay = Relay()
    relay.begin(connection)
    while True:
        kind, content = receive(connection)[0] or _GONE
        if kind == "accepted":
            relay.follow(content)
        elif relay.worker:
            # Where there is no end to hear of, the worker and the server are gone without a word.
            return (kind, content) if kind in _ENDS else ("signal", _SIGKILL)
        else:
            relay.give_up()
            if os.environ.get("STACKR_DEBUG"):
                sys.stderr.write(f"stackr: the warm process declines: {content}\n")
            return None


def _end_as(kind: str, number: int) -> NoReturn:
    if kind == "signal":
        from stackr.warm.death import die_by

        die_by(number)
    os._exit(number)
