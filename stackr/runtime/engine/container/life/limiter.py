"""Puts a container's limits into its control group: at its start what the OCI runtime does not do,
and while it runs all that an update changes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from stackr.errors import Conflict, Internal, NotSupported, StackrError
from stackr.runtime.engine.container.life.update import lifted, updated
from stackr.runtime.engine.container.limits.group_writes import group_writes
from stackr.runtime.engine.container.limits.process_limits import set_process_limits
from stackr.runtime.engine.container.limits.resources import resources, rlimits
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.container.settings.spec import ContainerUpdate, HostConfig

__all__ = ["Limiter"]


_HOLDS_UP: dict[str, Any] = {
    "cpu_realtime_runtime": 0,
    "blkio_device_read_bps": [],
    "blkio_device_write_bps": [],
    "blkio_device_read_iops": [],
    "blkio_device_write_iops": [],
}

_BLOCK_IO = (
    "HostConfig.Blkio",
    "block I/O limits",
    "weights of single devices need the I/O scheduler bfq",
)
_SETTINGS = {
    "blkio": _BLOCK_IO,
    "io": _BLOCK_IO,
    "cpu": ("HostConfig.CpuShares", "CPU shares", None),
}
"""By controller: the settings, what the kernel lacks where it has no file for them, and a hint."""


class Limiter:
    """The container's lock is held by the caller of every method."""

    def __init__(self, parts: Parts) -> None:
        self._host = parts.host
        self._groups = parts.groups
        self._store = parts.store
        self._storage = parts.storage
        self._runtime = parts.runtime

    def prepare(self, container: Container) -> None:
        """Before the OCI runtime makes the group: what must be above it."""
        self._groups.note(container)
        self._allot_realtime(container, container.host_config)

    def created(self, container: Container) -> None:
        """Once the group is there, before the program begins.

        Raises NotSupported where the kernel lacks a limit, Internal where it refuses one.
        """
        self._groups.is_made(container)
        self._write(container, container.host_config)

    def ending(self, container: Container) -> None:
        """Lift what would hold up the end of its processes, or outlive them: a slow disk, which the
        last one waits for as it unmounts, and a share of real time, which is free only when the
        kernel has forgotten the group.
        """
        before = container.host_config
        if not any(getattr(before, name) for name in _HOLDS_UP):
            return
        after = before.model_copy(update=_HOLDS_UP)
        for controller, name, value in lifted(before, after, is_v2=self._host.cgroups.is_v2):
            with suppress(OSError):
                self._host.cgroups.write(self._groups.path(container), controller, name, value)

    async def update(self, container: Container, body: ContainerUpdate, *, replace: bool) -> None:
        """Change limits, restart policy and labels. What fails changes nothing.

        Raises Conflict and InvalidArgument with Docker's texts, Internal where the kernel refuses.
        """
        if container.state.status in (Status.REMOVING, Status.DEAD):
            raise Conflict(
                f"Cannot update container {container.id}: container is marked for removal and"
                ' cannot be "update"'
            )
        before = container.host_config, container.config
        after = updated(container, body, self._host, replace=replace)
        await self._apply(container, before[0], after[0])
        container.host_config, container.config = after
        try:
            self._store.put(container)
        except StackrError:
            container.host_config, container.config = before
            await self._apply(container, after[0], before[0])
            raise

    async def _apply(self, container: Container, before: HostConfig, after: HostConfig) -> None:
        if not container.state.status.is_up:
            return
        try:
            await self._set(container, before, after)
        except (StackrError, OSError) as error:
            with suppress(StackrError, OSError):
                await self._set(container, after, before)
            kind = type(error) if isinstance(error, StackrError) else Internal
            raise kind(f"Cannot update container {container.id}: {error}") from error

    async def _set(self, container: Container, before: HostConfig, after: HostConfig) -> None:
        cgroups = self._host.cgroups
        limits, writes = resources(after, cgroups), [*group_writes(after, cgroups)]
        if (limits, writes) != (resources(before, cgroups), [*group_writes(before, cgroups)]):
            self._lift(container, before, after)
            self._allot_realtime(container, after)
            self._write(container, after)
            if limits:
                await self._runtime.update(container.id, limits, self._storage.bundle(container))
        self._set_process_limits(container, before, after)

    def _set_process_limits(
        self, container: Container, before: HostConfig, after: HostConfig
    ) -> None:
        """Of all of its processes; those of further ones come with them."""
        changed = [ulimit for ulimit in after.ulimits if ulimit not in before.ulimits]
        if changed:
            names = {f"RLIMIT_{ulimit.name.upper()}" for ulimit in changed}
            limits = [r for r in rlimits(after.ulimits, self._host) if r["type"] in names]
            pids = self._host.cgroups.pids(self._groups.path(container))
            set_process_limits(pids, limits)

    def _lift(self, container: Container, before: HostConfig, after: HostConfig) -> None:
        cgroups = self._host.cgroups
        for controller, name, value in lifted(before, after, is_v2=cgroups.is_v2):
            try:
                cgroups.write(self._groups.path(container), controller, name, value)
            except OSError as error:
                raise Internal(f"{name}: {(error.strerror or '').lower()}") from error

    def _allot_realtime(self, container: Container, host_config: HostConfig) -> None:
        """host_config: what `container` is about to have."""
        if not host_config.cpu_realtime_runtime:
            return
        others = [
            other
            for other in self._store
            if (other.state.status.is_up or other.intent == "start") and other.id != container.id
        ]
        self._groups.allot_realtime([host_config, *(other.host_config for other in others)])

    def _write(self, container: Container, host_config: HostConfig) -> None:
        cgroups, group = self._host.cgroups, self._groups.path(container)
        for controller, files in group_writes(host_config, cgroups):
            setting, what, hint = _SETTINGS[controller]
            try:
                cgroups.write_first(group, controller, files)
            except FileNotFoundError as error:
                raise NotSupported(f"{setting}: your kernel does not support {what}") from error
            except OSError as error:
                file, value = files[0]
                why = (error.strerror or "").lower()
                raise Internal(f"{setting}: {file} {value}: {why}", hint=hint) from error
