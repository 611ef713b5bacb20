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
from typing import Any

from stackr.runtime.engine.options import FILE, EngineOptions, merged, read_file

__all__ = ["DEFAULT_DATA_ROOT", "DEFAULT_EXEC_ROOT", "AddressPool", "EngineConfig"]

DEFAULT_DATA_ROOT = Path("/var/lib/stackr")
DEFAULT_EXEC_ROOT = Path("/run/stackr")
_NUMBER = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class AddressPool:
    """Subnets of `prefix_length` are cut from `base`, in order, for networks that name none."""

    base: IPv4Network | IPv6Network
    prefix_length: int


def _file(environ: Mapping[str, str], flags: Mapping[str, Any]) -> Path | None:
    if named := environ.get("STACKR_ENGINE_CONFIG"):
        return Path(named)
    is_default = not (flags.get("data-root") or environ.get("STACKR_DATA_ROOT"))
    return FILE if is_default and FILE.exists() else None


def _default_pools() -> tuple[AddressPool, ...]:
    """Private addresses beside those that dockerd, Podman and libvirt cut their networks from.

    These are 172.17 to 172.31, 192.168, and 10.88 upwards; a dockerd takes its own at its start
    whether they are free or not. A /22 has an address for each of the 1,023 ports that a Linux
    bridge can have, but two, and a thousand networks fit. Source: linux, net/bridge/br_private.h.
    """
    return tuple(AddressPool(IPv4Network(base), 22) for base in ("172.16.0.0/16", "10.64.0.0/12"))


class Live:
    """The options as they are now: SIGHUP puts others in their place."""

    def __init__(self) -> None:
        self.options = EngineOptions()


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The settings of one engine. file, flags: where its options come from (`read_options`).

    data_root: what survives a reboot (images, snapshots, volumes, records).
    exec_root: what does not (socket, monitors' files); a tmpfs on most hosts.
    """

    data_root: Path = DEFAULT_DATA_ROOT
    exec_root: Path = DEFAULT_EXEC_ROOT
    socket: Path = DEFAULT_EXEC_ROOT / "stackr.sock"
    file: Path | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    live: Live = field(default_factory=Live, compare=False)
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
    def from_environment(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        file: Path | None = None,
        flags: Mapping[str, Any] | None = None,
    ) -> EngineConfig:
        """Flags are followed, or else `STACKR_DATA_ROOT` and `STACKR_EXEC_ROOT`, or else the file.

        The file is `file`, what `STACKR_ENGINE_CONFIG` names, or /etc/stackr/engine.json; the last
        is for the engine of the default folders alone. `STACKR_BUILD_CACHE_MB` is the limit of the
        build cache; what is no number is passed over.
        Raises InvalidArgument for a file that is none.
        """
        limit = environ.get("STACKR_BUILD_CACHE_MB", "")
        settings: dict[str, Any] = {}
        if _NUMBER.fullmatch(limit):
            settings["build_cache_bytes"] = int(limit) << 20
        file = file or _file(environ, flags or {})
        written = read_file(file) if file is not None else {}

        def root(key: str, variable: str, default: Path) -> Path:
            found = (flags or {}).get(key) or environ.get(variable) or written.get(key) or default
            return Path(str(found)).absolute()

        return cls.at(
            root("data-root", "STACKR_DATA_ROOT", DEFAULT_DATA_ROOT),
            root("exec-root", "STACKR_EXEC_ROOT", DEFAULT_EXEC_ROOT),
            file=file,
            flags=flags or {},
            **settings,
        )

    @property
    def options(self) -> EngineOptions:
        return self.live.options

    @property
    def address_pools(self) -> tuple[AddressPool, ...]:
        given = self.options.default_address_pools
        return tuple(AddressPool(p.network(), p.size) for p in given) or _default_pools()

    @property
    def build_limit_bytes(self) -> int:
        """Of the build cache, by `builder.gc` or else by the environment; 0 for no limit."""
        given = self.options.builder.gc.limit_bytes
        return self.build_cache_bytes if given is None else given

    def read_options(self) -> EngineOptions:
        """What the file and the flags say now. Raises InvalidArgument, NotSupported."""
        return merged(self.file, self.flags)

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
