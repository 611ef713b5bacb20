"""Who has a host port that a container cannot get: another container, or a process of this host.

Source: proc(5), /proc/net/tcp; the state of a listening TCP socket is 0A.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from stackr.errors import StackrError
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime

__all__ = ["owner_of", "taken_port"]

_TAKEN = re.compile(r"^host port \S*:(\d+)/(\w+) is in use$")
_LISTENS = "0A"


def taken_port(message: str) -> tuple[int, str] | None:
    """The port and the protocol that an error says are in use; None for another error."""
    found = _TAKEN.match(message)
    return (int(found[1]), found[2]) if found is not None else None


async def owner_of(runtime: Runtime, port: int, protocol: str) -> str:
    """`container shop-web-1 of project shop`, or `nginx (pid 12)`; "" where nobody is found."""
    try:
        containers = await runtime.list_containers()
    except StackrError:
        containers = []
    for container in containers:
        for each in container.ports:
            if (each.host_port, each.protocol) == (port, protocol):
                project = container.labels.get(labels.PROJECT)
                return f"container {container.name}" + (f" of project {project}" if project else "")
    return _process(port, protocol)


def _process(port: int, protocol: str) -> str:
    sockets = {
        f"socket:[{inode}]"
        for table in (protocol, f"{protocol}6")
        for inode in _inodes(f"/proc/net/{table}", port, protocol)
    }
    for pid in filter(str.isdecimal, os.listdir("/proc")) if sockets else ():
        try:
            folder = f"/proc/{pid}/fd"
            if any(os.readlink(f"{folder}/{number}") in sockets for number in os.listdir(folder)):
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
                    return f"{comm.read().strip()} (pid {pid})"
        except OSError:
            continue  # it has ended, or is another user's
    return ""


def _inodes(table: str, port: int, protocol: str) -> Iterator[str]:
    try:
        with open(table, encoding="ascii") as lines:
            rows = [line.split() for line in lines][1:]
    except OSError:
        return
    for row in rows:
        listens = protocol != "tcp" or row[3] == _LISTENS
        if listens and int(row[1].rpartition(":")[2], 16) == port:
            yield row[9]
