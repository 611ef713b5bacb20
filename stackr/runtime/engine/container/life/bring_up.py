"""What a container's program needs to begin: bundle, group, mounts, namespaces, network."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from stackr.errors import Conflict, NotFound, StackrError
from stackr.runtime.engine.container.io.log_options import LOCAL, driver, rotation
from stackr.runtime.engine.container.io.stream import ConsoleStream
from stackr.runtime.engine.container.life.limiter import Limiter
from stackr.runtime.engine.container.life.log_keeping import settle_log
from stackr.runtime.engine.container.life.networking import container_net, uses_resolver
from stackr.runtime.engine.container.life.sharing import joined, network_owner
from stackr.runtime.engine.container.life.teardown import Teardown
from stackr.runtime.engine.container.oci.bundle import Surroundings, bundle_config, hostname_of
from stackr.runtime.engine.container.oci.cdi import apply_devices, device_names
from stackr.runtime.engine.container.oci.init_program import find_init
from stackr.runtime.engine.container.oci.monitor import (
    MonitorError,
    MonitorOptions,
    connect_attach,
)
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.linking import Links
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.record import Container, Running
from stackr.runtime.engine.container.settings.links import link_environment, link_hosts
from stackr.runtime.engine.container.settings.spec import LogConfig
from stackr.runtime.engine.container.storage.mount_check import check_mounted
from stackr.runtime.engine.container.storage.storage import Mounted
from stackr.runtime.engine.container.storage.tmpfs import set_modes
from stackr.runtime.engine.linux.launcher_client import Borrowed, OverlayTarget
from stackr.runtime.engine.linux.tree import remove_tree
from stackr.runtime.engine.network.types import SandboxInfo
from stackr.runtime.engine.snapshot.size import size_wanted
from stackr.runtime.engine.volume_device import Device

__all__ = ["BringUp"]

_LEAST_SPOOL = 16 << 20
_FDS = 12  # that a start has open at a time, for pipes and sockets


class BringUp:
    """The container's lock is held by the caller."""

    def __init__(self, parts: Parts, limiter: Limiter, teardown: Teardown) -> None:
        self._config = parts.config
        self._host = parts.host
        self._store = parts.store
        self._storage = parts.storage
        self._groups = parts.groups
        self._snapshots = parts.snapshots
        self._networks = parts.networks
        self._runtime = parts.runtime
        self._monitor = parts.monitor
        self._descriptors = parts.descriptors
        self._limiter = limiter
        self._teardown = teardown
        self._links = Links(parts.store, parts.networks)
        self._mounting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, live: Live) -> int:
        """Returns when the program began, in nanoseconds since the epoch.

        Raises MonitorError where the OCI runtime refuses, StackrError or OSError for the rest;
        nothing of it is left then.
        """
        async with self._descriptors.claim(_FDS):
            return await self._run(live)

    async def _run(self, live: Live) -> int:
        container = live.container
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._teardown.clear, container)
            self._groups.expect_entry()
            await live.end_copies()
            await settle_log(live)
            async with AsyncExitStack() as alone:
                devices = await self._devices(container, alone)
                config, mounted, borrowed = self._bundle(container, devices)
                self._limiter.prepare(container)
                container.running = await self._create(container, mounted, borrowed)
            check_mounted(container, config, container.running.pid)
            set_modes(mounted.tmpfs_modes, container.running.pid)
            self._limiter.created(container)
            self._runtime.filters.learn(config, self._runtime.root / container.id)
            self._store.put(container)
            if container.endpoints:
                undo.push_async_callback(self._teardown.detach, container)
                standby = self._store.starts_in_standby(container)
                net = container_net(container, standby=standby)
                sandbox = await self._networks.attach(net, container.running.pid)
                self._write_hosts(container, sandbox)
                for parent in self._links.parents(container):
                    if (own := self._networks.sandbox(parent.id)) is not None:
                        self._write_hosts(parent, own)
            await self._connect_pending(live)
            started_ns = time.time_ns()
            try:
                await self._runtime.start(container.id)
            except StackrError as error:
                raise MonitorError(error.message) from error
            live.monitor = self._monitor.find(container.running)
            undo.pop_all()
        return started_ns

    async def _connect_pending(self, live: Live) -> None:
        """Before the program begins, so that none of its output is missed."""
        while live.pending:
            stream = live.pending.pop()
            if stream.is_wanted:
                bundle = self._storage.bundle(live.container)
                stream.connect(ConsoleStream(await connect_attach(bundle)))

    async def _devices(self, container: Container, alone: AsyncExitStack) -> dict[str, Device]:
        """The file systems that volumes are; one start at a time mounts each, or finds it mounted.

        alone: lets go of them.
        """
        if not any(mount.device for mount in container.mounts):
            return {}
        devices = await asyncio.to_thread(self._storage.devices, container)
        for name in devices:
            lock = self._mounting.get(name) or asyncio.Lock()
            self._mounting[name] = lock
            await alone.enter_async_context(lock)
        return devices

    def _lenders(self, container: Container, volume: str) -> list[tuple[str, str]]:
        """Which mount namespaces may have the volume."""
        others = (other for other in self._store if other.id != container.id)
        return [each for other in others for each in self._storage.lenders(other, volume)]

    def _bundle(
        self, container: Container, devices: Mapping[str, Device]
    ) -> tuple[dict[str, Any], Mounted, list[Borrowed]]:
        """Write what the start needs; returns the config.json of it, and what is to be mounted."""
        size = size_wanted(container.host_config.storage_opt)
        self._snapshots.restore(container.id, size)
        self._storage.make_bind_sources(container)
        bundle, rootfs = self._storage.bundle(container), self._storage.rootfs(container)
        remove_tree(bundle)
        rootfs.mkdir(parents=True)
        lenders = partial(self._lenders, container)
        mounted = self._storage.mounted(container, devices, lenders)
        borrowed = self._borrowed_shm(container)
        options = self._config.options
        # where the host's process 1 reaps orphans, another has no use and complains
        wants_init = container.host_config.init and container.host_config.pid_mode != "host"
        around = Surroundings(
            host=self._host,
            user=self._storage.user(container),
            mounted=mounted.paths,
            tmpfs_modes=mounted.tmpfs_modes,
            shm=borrowed[0].target if borrowed else "",
            rootfs=str(rootfs),
            cgroup=self._groups.path(container),
            files=self._write_files(container),
            namespaces=self._joined_namespaces(container),
            links=link_environment(self._links.needed(container)),
            init=find_init(own=options.init_path) if wants_init else "",
        )
        config = bundle_config(container, around)
        names = device_names(container.host_config.device_requests)
        apply_devices(config, names, [*map(Path, options.cdi_spec_dirs)])
        self._runtime.filters.apply(config)
        (bundle / "config.json").write_text(json.dumps(config))
        return config, mounted, borrowed

    def _borrowed_shm(self, container: Container) -> list[Borrowed]:
        """The shared memory of the container whose IPC namespace is joined."""
        mode = container.host_config.ipc_mode
        if not mode.startswith("container:"):
            return []
        donor = self._store.get(mode.partition(":")[2])
        if donor.host_config.ipc_mode not in ("shareable", "host"):
            raise Conflict(
                f"cannot join IPC of container {donor.id}: non-shareable IPC (hint: use"
                " IpcMode:shareable for the donor container)"
            )
        target = self._storage.bundle(container) / "shm"
        target.mkdir()
        namespace = f"/proc/{self._pid_of(donor.id)}/ns/mnt"
        return [Borrowed(namespace, "/dev/shm", str(target))]

    def _take_names(self, container: Container) -> Container:
        """Of whom the network is, it has the host name and the files about it, too: they are to
        tell the same as the network does. Returns the container whose files are used.
        """
        owner = network_owner(container, self._store)
        if owner is not container:
            hostname, domain = hostname_of(owner, self._host), owner.config.domainname
            named = {"hostname": hostname, "domainname": domain}
            container.config = container.config.model_copy(update=named)
        return owner

    def _write_files(self, container: Container) -> dict[str, str]:
        owner = self._take_names(container)
        if owner is not container:
            return self._storage.files(owner)
        host_config = container.host_config
        resolv_conf = self._networks.resolv_conf(
            host_config.dns,
            host_config.dns_search,
            host_config.dns_options,
            embedded=uses_resolver(container),
        )
        gateways = self._host_gateways()
        return self._storage.write_files(container, resolv_conf, host_gateways=gateways)

    async def _create(
        self, container: Container, mounted: Mounted, borrowed: list[Borrowed]
    ) -> Running:
        bundle = self._storage.bundle(container)
        overlay = self._snapshots.rootfs(container.id)
        log_config = container.host_config.log_config
        return await self._monitor.create(
            container.id,
            bundle,
            overlays=[
                OverlayTarget(overlay.base_dir, overlay.data, str(self._storage.rootfs(container))),
                *mounted.images,
            ],
            devices=mounted.devices,
            parts=mounted.parts,
            borrowed=borrowed,
            shared=mounted.shared,
            options=MonitorOptions(
                tty=container.config.tty,
                stdin=container.config.open_stdin,
                keep_stdin=not container.config.stdin_once or container.config.tty,
                log=None if log_config.type == "none" else self._storage.log_file(container),
                log_size_max=_spool_bytes(log_config),
                variables=len(container.config.env),
            ),
        )

    def _host_gateways(self) -> Sequence[str]:
        """The host as containers reach it: by the option, or by the default bridge's gateway."""
        if given := self._config.options.host_gateways:
            return given
        try:
            pools = self._networks.get("bridge").spec.pools
        except NotFound:
            return ()
        return [pool.gateway.partition("/")[0] for pool in pools]

    def _write_hosts(self, container: Container, sandbox: SandboxInfo) -> None:
        endpoints = sandbox.endpoints.values()
        addresses = [a for e in endpoints for a in (e.ipv4_address, e.ipv6_address)]
        # The default bridge is only there once a container has used it; its own network is.
        own = [e.gateway for e in endpoints if e.gateway][:1]
        gateways = self._config.options.host_gateways or own or self._host_gateways()
        links = link_hosts(self._links.known(container))
        self._storage.write_hosts(container, addresses, host_gateways=gateways, links=links)

    def _joined_namespaces(self, container: Container) -> dict[str, str]:
        """Paths of the namespaces that `container:NAME` modes name."""
        return {
            kind: f"/proc/{self._pid_of(other)}/ns/{file}"
            for kind, file, other in joined(container)
        }

    def _pid_of(self, ref: str) -> int:
        other = self._store.get(ref)
        if not other.pid:
            raise Conflict(f"cannot join namespace of a non running container: {other.id}")
        return other.pid


def _spool_bytes(config: LogConfig) -> int:
    """The most that the monitor's own file may have, 0 for no limit. The log of a driver that has
    files of its own is taken over from it while a daemon runs.
    """
    asked = rotation(config)
    whole = asked.max_bytes * asked.files
    return whole if driver(config) == LOCAL or not whole else max(_LEAST_SPOOL, 4 * whole)
