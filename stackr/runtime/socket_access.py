"""How a user who may not connect to a Unix socket gets to: by the group that may."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

__all__ = ["access_hint"]


def access_hint(socket: str | os.PathLike[str], otherwise: str = "run it with sudo") -> str:
    """One line for whoever this is. otherwise: where no group but root's may."""
    try:
        group = grp.getgrgid(_group_of(Path(socket)))
        user = pwd.getpwuid(os.geteuid()).pw_name
    except (OSError, KeyError):  # the IDs have no names
        return otherwise
    if group.gr_gid == 0:
        return otherwise
    if user in group.gr_mem and group.gr_gid not in os.getgroups():
        return f"{user} is in the group {group.gr_name}, but this login is older: log in again"
    return f"run it with sudo; or: sudo usermod -aG {group.gr_name} {user}, and log in again"


def _group_of(socket: Path) -> int:
    """Of the socket, or of its folder, where that is closed to this user."""
    try:
        return socket.stat().st_gid
    except PermissionError:
        return socket.parent.stat().st_gid
