"""A container's folders: its volumes and bind sources, its own /etc files, its bundle.

Names of anonymous volumes are chosen before anything is made, so that the record which is written
first tells a later start what to take away.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from stackr.errors import Conflict, InvalidArgument, NotFound, StackrError
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container.etc import hosts_file
from stackr.runtime.engine.container.needs import ImageSource, VolumeAccess
from stackr.runtime.engine.container.record import Container, MountPoint
from stackr.runtime.engine.container.user import ProcessUser, resolve_user
from stackr.runtime.engine.linux.launcher_client import OverlayTarget
from stackr.runtime.engine.linux.tree import remove_tree
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.volume import ANONYMOUS_LABEL

__all__ = ["Storage", "name_volumes"]


def name_volumes(mounts: Sequence[MountPoint]) -> tuple[MountPoint, ...]:
    """Give each anonymous volume its name."""
    return tuple(
        replace(mount, name=secrets.token_hex(32))
        if mount.type == "volume" and not mount.name
        else mount
        for mount in mounts
    )


class Storage:
    """What a container has on the disk, beside its snapshot."""

    def __init__(
        self, config: EngineConfig, images: ImageSource, snapshots: Overlay, volumes: VolumeAccess
    ) -> None:
        self._config = config
        self._images = images
        self._snapshots = snapshots
        self._volumes = volumes

    def folder(self, container: Container) -> Path:
        """Where the log and the /etc files are."""
        return self._config.containers_root / container.id

    def bundle(self, container: Container) -> Path:
        return self._config.bundles_root / container.id

    def log_file(self, container: Container) -> Path:
        return self.folder(container) / "container.log"

    async def make(self, container: Container, layers: Sequence[str]) -> tuple[MountPoint, ...]:
        """The snapshot, the volumes and the folder; returns the mounts with their sources.

        A volume that is empty gets what the image has at its place.
        """
        images = [mount for mount in container.mounts if mount.type == "image"]
        mounted = [self._images.get(mount.name).diff_ids for mount in images]
        await asyncio.to_thread(self._snapshots.prepare, container.id, layers, mounted)
        for mount, diff_ids in zip(images, mounted, strict=True):
            self._part(mount, diff_ids)
        self.folder(container).mkdir(mode=0o710, parents=True, exist_ok=True)
        return tuple([await self._make_mount(container, mount) for mount in container.mounts])

    async def _make_mount(self, container: Container, mount: MountPoint) -> MountPoint:
        if mount.type == "bind":
            _check_bind_source(mount)
            return mount
        if mount.type != "volume":
            return mount
        labels = {ANONYMOUS_LABEL: ""} if mount.anonymous else {}
        await self._volumes.create(mount.name, mount.driver or "local", None, labels)
        volume = self._volumes.acquire(mount.name, container.id)
        if volume.tmpfs is not None:
            return replace(mount, type="tmpfs", options=volume.tmpfs.options, copy_up=False)
        source = volume.source
        if mount.copy_up and not mount.subpath:
            await asyncio.to_thread(self._copy_up, container.id, mount)
        if mount.subpath:
            source = _inside(source, mount.subpath)
        return replace(mount, source=str(source), rw=mount.rw and not volume.is_read_only)

    def _part(self, mount: MountPoint, diff_ids: Sequence[str]) -> os.stat_result:
        """What the subpath of an image means in it. Raises InvalidArgument where there is none."""
        if not diff_ids:
            raise InvalidArgument(
                f'invalid mount config for type "image": image {mount.source} has no files'
            )
        found = self._snapshots.image_view(diff_ids).stat(mount.subpath)
        if found is None:
            raise InvalidArgument(
                f'invalid mount config for type "image": subpath "{mount.subpath}": no such file or'
                f" directory in image {mount.source}"
            )
        return found

    def image_targets(self, container: Container) -> tuple[dict[str, str], list[OverlayTarget]]:
        """Where the images are mounted for a start, by destination, and how.

        The folders and files that they are mounted on are made in the bundle.
        """
        paths: dict[str, str] = {}
        targets: list[OverlayTarget] = []
        images = [mount for mount in container.mounts if mount.type == "image"]
        overlays = self._snapshots.mounted(container.id)
        for number, (mount, overlay) in enumerate(zip(images, overlays, strict=True)):
            target = self.bundle(container) / f"image-{number}"
            target.mkdir()
            paths[mount.destination] = str(target)
            if mount.subpath:
                paths[mount.destination] = f"{target}.part"
                self._make_part(container, mount, Path(f"{target}.part"), number)
            targets.append(
                OverlayTarget(overlay.base_dir, overlay.data, str(target), mount.subpath)
            )
        return paths, targets

    def _make_part(self, container: Container, mount: MountPoint, path: Path, number: int) -> None:
        found = self._part(mount, self._snapshots.mounted_layers(container.id)[number])
        if stat.S_ISDIR(found.st_mode):
            path.mkdir()
        else:
            path.touch()

    def _copy_up(self, container_id: str, mount: MountPoint) -> None:
        view = self._snapshots.container_view(container_id)
        self._volumes.fill(mount.name, lambda folder: view.copy_up(mount.destination, folder))

    def acquire(self, container: Container) -> None:
        """Note again, after a start of the daemon, which volumes the container uses."""
        for mount in container.mounts:
            if mount.name and mount.type != "image":
                with suppress(NotFound, Conflict):
                    self._volumes.acquire(mount.name, container.id)

    async def remove(self, container: Container, *, anonymous_volumes: bool) -> None:
        """Take all of it away; volumes only where they are anonymous and that is asked."""
        await self._snapshots.remove(container.id)
        self._volumes.release(container.id)
        for mount in container.mounts if anonymous_volumes else ():
            if mount.anonymous and mount.name:
                with suppress(Conflict):  # another container uses it through VolumesFrom
                    await self._volumes.remove(mount.name, force=True)
        await asyncio.to_thread(self._remove_folders, container)

    def _remove_folders(self, container: Container) -> None:
        remove_tree(self.bundle(container))
        remove_tree(self.folder(container))

    def make_bind_sources(self, container: Container) -> None:
        """Folders that `Binds` names and that are gone are made, as Docker does at each start."""
        for mount in container.mounts:
            if mount.type == "bind":
                _check_bind_source(mount)

    def user(self, container: Container, user: str | None = None) -> ProcessUser:
        """The numbers of the container's user, or of another one in it."""
        view = self._snapshots.container_view(container.id)
        passwd, group = (view.read(f"/etc/{name}") or b"" for name in ("passwd", "group"))
        return resolve_user(
            container.config.user if user is None else user,
            passwd=passwd.decode(errors="replace"),
            group=group.decode(errors="replace"),
            group_add=container.host_config.group_add,
        )

    def write_files(
        self, container: Container, resolv_conf: str, *, host_gateway: str
    ) -> dict[str, str]:
        """hosts, hostname and resolv.conf; returns target in the container -> file."""
        folder = self.folder(container)
        (folder / "hostname").write_text(f"{container.hostname}\n")
        (folder / "resolv.conf").write_text(resolv_conf)
        self.write_hosts(container, (), host_gateway=host_gateway)
        return {f"/etc/{name}": str(folder / name) for name in ("resolv.conf", "hostname", "hosts")}

    def write_hosts(
        self, container: Container, addresses: Sequence[str], *, host_gateway: str
    ) -> None:
        """Written in place: the container sees this very file."""
        if container.host_config.network_mode == "host" and not container.host_config.extra_hosts:
            with suppress(OSError):
                (self.folder(container) / "hosts").write_text(Path("/etc/hosts").read_text())
                return
        text = hosts_file(
            names=_own_names(container),
            addresses=addresses,
            extra_hosts=container.host_config.extra_hosts,
            host_gateway=host_gateway,
        )
        (self.folder(container) / "hosts").write_text(text)


def _own_names(container: Container) -> str:
    hostname, domain = container.hostname, container.config.domainname
    if domain:
        return f"{hostname}.{domain} {hostname}"
    short, dot, _ = hostname.partition(".")
    return f"{hostname} {short}" if dot else hostname


def _check_bind_source(mount: MountPoint) -> None:
    source = Path(mount.source)
    if source.exists():
        return
    if "must-exist" in mount.options:
        raise InvalidArgument(
            f'invalid mount config for type "bind": bind source path does not exist: {mount.source}'
        )
    try:
        source.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgument(
            f"error while creating mount source path '{mount.source}': mkdir {mount.source}:"
            f" {(error.strerror or '').lower()}"
        ) from error


def _inside(root: Path, subpath: str) -> Path:
    """A folder below a volume; what a container has put there cannot lead out of it."""
    target = (root / subpath).resolve()
    if not target.is_relative_to(root.resolve()):
        raise StackrError(f'volume subpath "{subpath}": leads out of the volume')
    if not target.exists():
        raise InvalidArgument(f"cannot access path {target}: no such file or directory")
    return target
