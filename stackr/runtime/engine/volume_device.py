"""Volumes that are file systems of their own: a tmpfs, a share of the network, a disk.

They are mounted with the options that were given, as mount(2) takes them, for as long as a
container that uses them runs. Source: moby, volume/local/local_unix.go; moby/sys/mount,
flags_linux.go.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.engine.linux.quota import parse_size
from stackr.runtime.engine.linux.syscalls import CLONE_NEWNS, make_private, mount, unshare

__all__ = [
    "Device",
    "check_options",
    "device_of",
    "is_bind",
    "mounted_apart",
    "size_of",
    "words",
]

_MS_BIND: Final = 0x1000
_FLAGS: Final[Mapping[str, tuple[bool, int]]] = {
    **{"async": (False, 0x10), "sync": (True, 0x10)},
    **{"atime": (False, 0x400), "noatime": (True, 0x400)},
    **{"bind": (True, _MS_BIND), "rbind": (True, _MS_BIND | 0x4000)},
    **{"defaults": (True, 0), "remount": (True, 0x20)},
    **{"dev": (False, 0x4), "nodev": (True, 0x4)},
    **{"diratime": (False, 0x800), "nodiratime": (True, 0x800), "dirsync": (True, 0x80)},
    **{"exec": (False, 0x8), "noexec": (True, 0x8)},
    **{"mand": (True, 0x40), "nomand": (False, 0x40)},
    **{"relatime": (True, 0x200000), "norelatime": (False, 0x200000)},
    **{"strictatime": (True, 0x1000000), "nostrictatime": (False, 0x1000000)},
    **{"ro": (True, 0x1), "rw": (False, 0x1)},
    **{"suid": (False, 0x2), "nosuid": (True, 0x2)},
}
"""Words of mount(8): whether it sets or clears, and the flags of mount(2)."""
_RESTRICTIONS: Final = ("nosuid", "nodev", "noexec", "noatime", "nodiratime", "strictatime")
_PROPAGATIONS: Final = frozenset(
    prefix + word for word in ("private", "shared", "slave", "unbindable") for prefix in ("", "r")
)
_KEYS: Final = ("type", "o", "device")
_NEEDS: Final = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_PASSWORD: Final = re.compile(r"(?<=password=)[^,]*")


@dataclass(frozen=True, slots=True)
class Device:
    """flags, data: as mount(2) takes them."""

    fstype: str
    source: str
    flags: int
    data: str

    @property
    def restrictions(self) -> tuple[str, ...]:
        """What the mount itself has, in words of mount(8); not what the file system has."""
        return tuple(word for word in _RESTRICTIONS if self.flags & _FLAGS[word][1])

    def failure(self, target: Path) -> str:
        """Docker's words for a mount that fails; what the kernel says follows."""
        flags = f", flags: {self.flags:#x}" if self.flags else ""
        data = f", data: {_PASSWORD.sub('********', self.data)}" if self.data else ""
        return f"failed to mount local volume: mount {self.source}:{target}{flags}{data}"

    def resolved(self) -> Device:
        """With the address of its server in place of a name; asks a name server, and may take long.

        Raises InvalidArgument for a name that has none.
        """
        if self.fstype == "nfs":
            given = next((w[5:] for w in words(self.data) if w.startswith("addr=")), "")
            if given:
                address = _address(given)
                return replace(self, data=self.data.replace(f"addr={given}", f"addr={address}", 1))
        if self.fstype == "cifs":
            host = urlsplit(self.source).hostname or ""
            if host:
                source = self.source.replace(host, _address(host), 1)
                return replace(self, source=unquote(source))
        return self


def _address(host: str) -> str:
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise InvalidArgument(
            f"error resolving passed in network volume address: lookup {host}: {error.strerror}"
        ) from error


def words(options: str) -> list[str]:
    """Of an option string: "size=1m,uid=5"."""
    return [word for word in options.split(",") if word]


def is_bind(options: Mapping[str, str]) -> bool:
    """Whether the volume stands for a folder of the host."""
    return bool({"bind", "rbind"} & set(words(options.get("o", ""))))


def device_of(options: Mapping[str, str]) -> Device | None:
    """What is to be mounted; None for a volume that is a folder."""
    if not options.get("type") or is_bind(options):
        return None
    flags, data = 0, []
    for word in words(options.get("o", "")):
        if word in _FLAGS:
            is_set, flag = _FLAGS[word]
            flags = flags | flag if is_set else flags & ~flag
        else:
            data.append(word)
    source = options.get("device") or options["type"]
    return Device(options["type"], source, flags, ",".join(data))


def check_options(name: str, options: Mapping[str, str]) -> None:
    """Raises InvalidArgument with Docker's texts, NotSupported for what is not done here."""
    _check_keys(name, options)
    if "size" in options and len(options) > 1:
        raise InvalidArgument(
            f"create {name}: size is for a volume that is a folder",
            hint="of a tmpfs, the size is one of the mount options: o=size=1m",
        )
    size_of(name, options)
    if not options or "size" in options:
        return
    if not options["device"]:
        raise InvalidArgument(f"create {name}: missing device in volume options")
    given = set(words(options.get("o", "")))
    refused = given & _PROPAGATIONS
    if is_bind(options):
        refused |= given - {"bind", "rbind", "ro", "rw"}
    if refused:
        raise NotSupported(f'volume "{name}": mount option not supported: {min(refused)}')


def size_of(name: str, options: Mapping[str, str]) -> int:
    """How many bytes a volume may hold, 0 for as many as there is room for.

    Raises InvalidArgument, with Docker's text, for what is no size.
    """
    text = options.get("size")
    if text is None:
        return 0
    size = parse_size(text)
    if not size:
        raise InvalidArgument(f"create {name}: invalid size: '{text[:50]}'")
    return size


def _check_keys(name: str, options: Mapping[str, str]) -> None:
    for key in options:
        if key not in (*_KEYS, "size"):
            raise InvalidArgument(f'create {name}: invalid option: "{key}"')
    for key, needed in _NEEDS.items():
        for other in needed:
            if key in options and other not in options:
                raise InvalidArgument(f'create {name}: missing required option: "{other}"')


def mounted_apart(device: Device, target: Path, work: Callable[[], None]) -> None:
    """Run `work` where the device is mounted on a folder, for it alone; blocking.

    In a mount namespace of a thread of its own, which ends with it, also by a kill.
    Raises InvalidArgument where it cannot be mounted, and what `work` raises.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            unshare(CLONE_NEWNS)
            make_private()
            _mount(device.resolved(), target)
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="volume-mount")
    thread.start()
    thread.join()
    for error in failed:
        raise error


def _mount(device: Device, target: Path) -> None:
    try:
        mount(device.source, str(target), device.fstype, device.flags, device.data)
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise InvalidArgument(f"{device.failure(target)}: {why}") from error
