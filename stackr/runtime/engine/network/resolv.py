"""resolv.conf: what the host's says, and what a container's should. Source: resolv.conf(5).

The resolver's process reads the host's, too, so this imports little.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

__all__ = ["EMBEDDED_RESOLVER", "HostResolver", "ResolvConf", "parse_resolv_conf", "resolv_conf"]

EMBEDDED_RESOLVER = "127.0.0.11"


class ResolvConf:
    """nameservers: IP addresses in order, any zone (`%eth0`) kept."""

    __slots__ = ("nameservers", "options", "search")

    def __init__(
        self,
        nameservers: tuple[str, ...] = (),
        search: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
    ) -> None:
        self.nameservers = nameservers
        self.search = search
        self.options = options


def parse_resolv_conf(text: str) -> ResolvConf:
    """What cannot be understood is skipped, as libc does; the last `search` counts."""
    nameservers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        key, *values = line.split() or [""]
        if key == "nameserver" and values and _is_address(values[0]):
            nameservers.append(values[0])
        elif key in ("search", "domain"):
            search = tuple(values)
        elif key == "options":
            options += values
    return ResolvConf(tuple(nameservers), search, tuple(options))


def _is_address(text: str) -> bool:
    address, zoned, zone = text.partition("%")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if zoned and (not zone or family == socket.AF_INET):
        return False
    try:
        socket.inet_pton(family, address)
    except (OSError, ValueError):
        return False
    return True


def resolv_conf(dns: Sequence[str], search: Sequence[str], options: Sequence[str]) -> str:
    """The file's text. A search list of "." means none."""
    lines = [f"nameserver {server}" for server in dns]
    if search and list(search) != ["."]:
        lines.append(f"search {' '.join(search)}")
    if options:
        lines.append(f"options {' '.join(options)}")
    return "".join(f"{line}\n" for line in lines)


class HostResolver:
    """The host's resolv.conf, read again when it has changed."""

    def __init__(self, path: str | os.PathLike[str] = "/etc/resolv.conf") -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._content = ResolvConf()

    def read(self) -> ResolvConf:
        """Empty where the file is missing."""
        try:
            status = os.stat(self._path)
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                with open(self._path, errors="replace") as file:
                    self._content = parse_resolv_conf(file.read())
                self._stamp = stamp
        except OSError:
            self._content, self._stamp = ResolvConf(), None
        return self._content
