"""resolv.conf: what the host's says, and what a container's should. Source: resolv.conf(5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

__all__ = ["EMBEDDED_RESOLVER", "HostResolver", "ResolvConf", "parse_resolv_conf", "resolv_conf"]

EMBEDDED_RESOLVER = "127.0.0.11"


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """nameservers: IP addresses in order, any zone (`%eth0`) kept."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


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
    try:
        ip_address(text)
    except ValueError:
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

    def __init__(self, path: Path = Path("/etc/resolv.conf")) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._content = ResolvConf()

    def read(self) -> ResolvConf:
        """Empty where the file is missing."""
        try:
            status = self._path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._content = parse_resolv_conf(self._path.read_text(errors="replace"))
                self._stamp = stamp
        except OSError:
            self._content, self._stamp = ResolvConf(), None
        return self._content
