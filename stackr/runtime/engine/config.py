"""What one engine is made of: its folders, its socket, and the names that it uses in the kernel.

Several engines may run on one host, each with a data root of its own. Every name that an engine
gives to something in the kernel (nftables table, cgroup parent) derives from its data root, so that
none touches what belongs to another. Bridges carry the network's random ID and need no such prefix.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

__all__ = ["DEFAULT_DATA_ROOT", "DEFAULT_EXEC_ROOT", "AddressPool", "EngineConfig"]

DEFAULT_DATA_ROOT = Path("/var/lib/stackr")
DEFAULT_EXEC_ROOT = Path("/run/stackr")
_NUMBER = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class AddressPool:
    """Subnets of `prefix_length` are cut from `base`, in order, for networks that name none."""

    base: IPv4Network | IPv6Network
    prefix_length: int


def _default_pools() -> tuple[AddressPool, ...]:
    """Private addresses beside those that dockerd, Podman and libvirt cut their networks from.

    These are 172.17 to 172.31, 192.168, and 10.88 upwards; a dockerd takes its own at its start
    whether they are free or not. A /22 has an address for each of the 1,023 ports that a Linux
    bridge can have, but two, and a thousand networks fit. Source: linux, net/bridge/br_private.h.
    """
    return tuple(AddressPool(IPv4Network(base), 22) for base in ("172.16.0.0/16", "10.64.0.0/12"))


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The settings of one engine; nothing here is read from or written to the disk.

    data_root: what survives a reboot (images, snapshots, volumes, records).
    exec_root: what does not (socket, monitors' files); a tmpfs on most hosts.
    """

    data_root: Path = DEFAULT_DATA_ROOT
    exec_root: Path = DEFAULT_EXEC_ROOT
    socket: Path = DEFAULT_EXEC_ROOT / "stackr.sock"
    tcp_listen: str | None = None
    insecure_registries: tuple[str, ...] = ()
    address_pools: tuple[AddressPool, ...] = field(default_factory=_default_pools)
    published_port_range: tuple[int, int] = (20000, 32767)
    """Ephemeral host ports: below the kernel's own range, so that no client socket takes one."""
    build_cache_bytes: int = 20 << 30
    """What is kept of builds' layers; the least recently used go first. 0 for no limit."""

    @classmethod
    def at(cls, data_root: Path, exec_root: Path, **settings: object) -> EngineConfig:
        """The engine of these two folders, its socket in the second."""
        return cls(
            data_root=data_root,
            exec_root=exec_root,
            socket=exec_root / "stackr.sock",
            **settings,  # type: ignore[arg-type]
        )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> EngineConfig:
        """`STACKR_DATA_ROOT` and `STACKR_EXEC_ROOT` move the engine's folders.

        `STACKR_BUILD_CACHE_MB` is the limit of the build cache; what is no number is passed over.
        """
        limit = environ.get("STACKR_BUILD_CACHE_MB", "")
        settings = {"build_cache_bytes": int(limit) << 20} if _NUMBER.fullmatch(limit) else {}
        return cls.at(
            Path(environ.get("STACKR_DATA_ROOT") or DEFAULT_DATA_ROOT),
            Path(environ.get("STACKR_EXEC_ROOT") or DEFAULT_EXEC_ROOT),
            **settings,
        )

    @property
    def instance(self) -> str:
        """The suffix of this engine's kernel names: empty at the default data root."""
        if self.data_root == DEFAULT_DATA_ROOT:
            return ""
        return "-" + hashlib.sha256(os.fsencode(self.data_root)).hexdigest()[:8]

    @property
    def nft_table(self) -> str:
        return f"stackr{self.instance}"

    @property
    def cgroup_parent(self) -> str:
        return f"/stackr{self.instance}"

    @property
    def database(self) -> Path:
        return self.data_root / "state.db"

    @property
    def resolver_socket(self) -> Path:
        """Where a daemon finds the resolver that an earlier one has left."""
        return self.exec_root / "names.sock"

    @property
    def relay_socket(self) -> Path:
        """Where a daemon finds the relay that an earlier one has left."""
        return self.exec_root / "ports.sock"

    @property
    def volumes_root(self) -> Path:
        return self.data_root / "volumes"

    @property
    def content_root(self) -> Path:
        return self.data_root / "content"

    @property
    def snapshots_root(self) -> Path:
        return self.data_root / "snapshots"

    @property
    def containers_root(self) -> Path:
        """One folder per container: its log, resolv.conf, hosts, hostname."""
        return self.data_root / "containers"

    @property
    def bundles_root(self) -> Path:
        """One folder per started container: its OCI bundle and its monitor's files."""
        return self.exec_root / "bundles"
