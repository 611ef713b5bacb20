"""Where a container's control group is, and the groups above it that the engine has to make.

`CgroupParent` is Docker's with its cgroupfs driver: an absolute path is a group of the host's,
which is used as it is; a relative one is below the engine's own. What the engine makes for it is
noted before, and removed when the last container in it is gone. A parent that was there stays.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path

from stackr.errors import InvalidArgument
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.settings.spec import HostConfig
from stackr.runtime.engine.linux.cgroup import Hierarchy
from stackr.runtime.engine.linux.cgroup_entry import EntryAhead
from stackr.runtime.engine.records import Kind
from stackr.runtime.engine.state import State

__all__ = ["CGROUP", "Groups", "check_parent"]

_log = logging.getLogger(__name__)

CGROUP = Kind("cgroup", parse=lambda path, _: path, dump=lambda _: {})
_MOST_PATH = 1024
_SECOND_US = 1_000_000
_RT_RUNTIME = "cpu.rt_runtime_us"


def check_parent(path: str) -> None:
    """Raise InvalidArgument for a `CgroupParent` that is no path of a group, or climbs."""
    parts = path.split("/")
    if len(path) > _MOST_PATH or not path.isprintable() or ".." in parts:
        raise InvalidArgument(f'HostConfig.CgroupParent: invalid path: "{path[:100]}"')


class Groups:
    """Paths are from the hierarchy's root on: "/stackr/ID"."""

    def __init__(self, config: EngineConfig, hierarchy: Hierarchy, state: State) -> None:
        self._own = config.cgroup_parent
        self._hierarchy = hierarchy
        self._state = state
        self._made: set[str] = set()
        self._ahead = EntryAhead(hierarchy)
        self._awaited: dict[str, str] = {}
        """The parents of containers whose own groups are about to be made, by container."""

    def open(self) -> None:
        self._made = set(self._state.read(CGROUP))

    def parent(self, host_config: HostConfig) -> str:
        given = host_config.cgroup_parent
        base = "" if given.startswith("/") else self._own
        return posixpath.normpath(f"{base}/{given.strip('/')}")

    def path(self, container: Container) -> str:
        return posixpath.join(self.parent(container.host_config), container.id)

    def expect_entry(self) -> None:
        """A process enters a container's group soon, and shall not have to wait for it."""
        self._ahead.begin()

    def note(self, container: Container) -> None:
        """Note the folders that the container's start will make above its own group.

        Raises InvalidArgument for a parent in which the kernel allows no group with limits.
        """
        parent = self.parent(container.host_config)
        if parent == self._own:
            return
        if self._hierarchy.holds_processes(parent):
            raise InvalidArgument(
                f"HostConfig.CgroupParent: {parent}: holds processes, and cgroup v2 has no group"
                " with limits beside them"
            )
        self._awaited[container.id] = parent
        for folder in self._hierarchy.paths(parent):
            for each in (folder, *folder.parents):
                if each.exists():
                    break
                self._made.add(str(each))
                self._state.save(CGROUP, str(each), str(each))

    def _paths(self, group: str) -> Iterator[Path]:
        """The group's folders, and all above them."""
        for folder in self._hierarchy.paths(group):
            yield folder
            yield from folder.parents

    def is_made(self, container: Container) -> None:
        """The container's own group is there now, and holds what is above it."""
        self._awaited.pop(container.id, None)

    def sweep(self) -> None:
        """Remove the noted folders that are empty and that no start needs, inner ones first."""
        if not self._made:
            return
        awaited = {str(each) for group in self._awaited.values() for each in self._paths(group)}
        for folder in sorted(self._made - awaited, key=len, reverse=True):
            try:
                _give_back(Path(folder))
                os.rmdir(folder)
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                    _log.warning("cgroup %s: cannot be removed: %s", folder, error.strerror)
                continue
            self._made.discard(folder)
            self._state.delete(CGROUP.name, folder)

    def allot_realtime(self, containers: Iterable[HostConfig]) -> None:
        """Give the engine's groups the real-time share that these containers, all that run, need
        together: the kernel lets no group have more than the one above it.

        Raises InvalidArgument where the host has not so much left.
        """
        needs: dict[str, int] = {}
        for host_config in containers:
            runtime_us = host_config.cpu_realtime_runtime
            period_us = host_config.cpu_realtime_period or _SECOND_US
            group = self.parent(host_config)
            while runtime_us and (group == self._own or group.startswith(f"{self._own}/")):
                needs[group] = needs.get(group, 0) - (-runtime_us * _SECOND_US // period_us)
                group = posixpath.dirname(group)
        for group, needed_us in sorted(needs.items()):
            self._allot(group, needed_us)

    def _allot(self, group: str, needed_us: int) -> None:
        folder = self._hierarchy.path(group, "cpu")
        if folder is None:
            return
        file = folder / _RT_RUNTIME
        try:
            folder.mkdir(exist_ok=True)
            if _number(file) < needed_us:
                file.write_text(str(needed_us))
        except OSError as error:
            raise InvalidArgument(
                f"HostConfig.CpuRealtimeRuntime: the host has not so much real-time left: {group}"
                f" needs {needed_us} us a second: {(error.strerror or '').lower()}"
            ) from error


def _give_back(folder: Path) -> None:
    """Its share of real time is free at once; else only when the kernel has forgotten the group.

    The kernel refuses where a group below still has a share.
    """
    file = folder / _RT_RUNTIME
    with contextlib.suppress(OSError):
        if _number(file):
            file.write_text("0")


def _number(file: Path) -> int:
    return int(file.read_text())
