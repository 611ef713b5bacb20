"""A container's folders: its volumes and bind sources, its own /etc files, its bundle.

Names of anonymous volumes are chosen before anything is made, so that the record which is written
first tells a later start what to take away.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from stackr.errors import Conflict, InvalidArgument, NotFound
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container.needs import ImageSource, VolumeAccess
from stackr.runtime.engine.container.oci.user import ProcessUser, resolve_user
from stackr.runtime.engine.container.records.record import Container, MountPoint
from stackr.runtime.engine.container.storage.etc import hosts_file
from stackr.runtime.engine.container.storage.propagation import SHARED, check_shared
from stackr.runtime.engine.container.storage.tmpfs import (
    given_mode,
    innermost,
    stat_below,
    tmpfs_mode,
)
from stackr.runtime.engine.linux.launcher_client import (
    DeviceTarget,
    OverlayTarget,
    Part,
    SharedTarget,
)
from stackr.runtime.engine.linux.tree import remove_tree
from stackr.runtime.engine.roots import make_folder, make_way
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.snapshot.size import size_wanted
from stackr.runtime.engine.volume import ANONYMOUS_LABEL
from stackr.runtime.engine.volume_device import Device
from stackr.runtime.proc_targets import PROC, proc_refusal

__all__ = ["Mounted", "Storage", "name_volumes"]


_MARK = "/.dockerenv"


def name_volumes(mounts: Sequence[MountPoint]) -> tuple[MountPoint, ...]:
    """Give each anonymous volume its name."""
    return tuple(
        replace(mount, name=secrets.token_hex(32))
        if mount.type == "volume" and not mount.name
        else mount
        for mount in mounts
    )


@dataclass(slots=True)
class Mounted:
    """What the launcher mounts for a start, and what the OCI runtime is told of it.

    paths: where each of it is; tmpfs_modes: the permissions of each tmpfs; both by its place in the
    container.
    """

    images: list[OverlayTarget] = field(default_factory=list)
    devices: list[DeviceTarget] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    shared: list[SharedTarget] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)
    tmpfs_modes: dict[str, int] = field(default_factory=dict)


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

    def rootfs(self, container: Container) -> Path:
        """Where its root file system is mounted, in its own mount namespace alone."""
        return self.bundle(container) / "rootfs"

    def log_file(self, container: Container) -> Path:
        """Where the monitor writes the output to."""
        return self.folder(container) / "container.log"

    def json_log(self, container: Container) -> Path:
        """The log of the driver json-file, by dockerd's name for it."""
        return self.folder(container) / f"{container.id}-json.log"

    async def make(self, container: Container, layers: Sequence[str]) -> tuple[MountPoint, ...]:
        """The snapshot, the volumes and the folder; returns the mounts with their sources.

        A volume that is empty gets what the image has at its place.
        """
        images = [mount for mount in container.mounts if mount.type == "image"]
        mounted = [self._images.get(mount.name).diff_ids for mount in images]
        size = size_wanted(container.host_config.storage_opt)
        await asyncio.to_thread(
            self._snapshots.prepare, container.id, layers, mounted, size_bytes=size
        )
        for mount, diff_ids in zip(images, mounted, strict=True):
            self._check_part(mount, diff_ids)
        make_folder(self.folder(container), 0o700)
        self._mark(container.id)
        return tuple([await self._make_mount(container, mount) for mount in container.mounts])

    def _mark(self, container_id: str) -> None:
        """The empty file by which programs tell that they are in a container of Docker's kind."""
        if self._snapshots.base_view(container_id).stat(_MARK) is None:
            path = self._snapshots.upper_directory(container_id) / _MARK.lstrip("/")
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o755))

    async def _make_mount(self, container: Container, mount: MountPoint) -> MountPoint:
        if mount.type == "bind":
            _check_bind_source(mount)
            return mount
        if mount.type != "volume":
            return mount
        labels, options = _volume_settings(container, mount)
        await self._volumes.create(mount.name, mount.driver or "local", options, labels)
        volume = self._volumes.acquire(mount.name, container.id)
        if mount.anonymous:
            self._check_folder(container.id, mount)
        if mount.copy_up:
            await asyncio.to_thread(self._copy_up, container.id, mount)
        return replace(
            mount,
            source=str(volume.source),
            rw=mount.rw and not volume.is_read_only,
            device=volume.device is not None,
            options=volume.device.restrictions if volume.device is not None else (),
        )

    def _check_folder(self, container_id: str, mount: MountPoint) -> None:
        found = self._snapshots.base_view(container_id).stat(mount.destination)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            raise InvalidArgument(
                f"cannot mount volume over existing file, file exists {mount.destination}"
            )

    def _check_part(self, mount: MountPoint, diff_ids: Sequence[str]) -> None:
        """Raises InvalidArgument where an image has nothing at the subpath."""
        if not diff_ids:
            raise InvalidArgument(
                f'invalid mount config for type "image": image {mount.source} has no files'
            )
        if self._snapshots.image_view(diff_ids).stat(mount.subpath) is None:
            raise InvalidArgument(
                f'invalid mount config for type "image": subpath "{mount.subpath}": no such file or'
                f" directory in image {mount.source}"
            )

    def devices(self, container: Container) -> dict[str, Device]:
        """By volume's name, what is to be mounted for a start; blocking where names are looked up.

        Raises InvalidArgument for a name without an address.
        """
        names = {mount.name for mount in container.mounts if mount.device}
        found = ((name, self._volumes.get(name).device) for name in sorted(names))
        return {name: device.resolved() for name, device in found if device is not None}

    def lenders(self, container: Container, name: str) -> list[tuple[str, str]]:
        """Where a running container may have a volume mounted: namespace, path."""
        if container.running is None:
            return []
        namespace = f"/proc/{container.running.monitor_pid}/ns/mnt"
        return [
            (namespace, str(self.bundle(container) / f"mount-{number}"))
            for number, mount in enumerate(container.mounts)
            if mount.device and mount.name == name
        ]

    def mounted(
        self,
        container: Container,
        devices: Mapping[str, Device],
        lenders: Callable[[str], list[tuple[str, str]]],
    ) -> Mounted:
        """What is mounted before the OCI runtime begins: images, file systems that volumes are, and
        parts of images and volumes.

        lenders: who may have a volume, by its name, mounted already.
        The folders that these are mounted on are made in the bundle. A part is opened at each
        start, by the launcher: a container may have put something else in its place meanwhile.
        """
        found = Mounted(tmpfs_modes=self._tmpfs_modes(container))
        overlays = iter(self._snapshots.mounted(container.id))
        first: dict[str, str] = {}
        for number, mount in enumerate(container.mounts):
            target = str(self.bundle(container) / f"mount-{number}")
            part = f"{target}.part"
            if mount.type == "image":
                overlay = next(overlays)
                os.mkdir(target)
                found.images.append(OverlayTarget(overlay.base_dir, overlay.data, target))
                found.paths[mount.destination] = part if mount.subpath else target
                if mount.subpath:
                    found.parts.append(Part(target, mount.subpath, part, as_root=True))
            elif mount.device:
                os.mkdir(target)
                own = [("/proc/self/ns/mnt", first[mount.name])] if mount.name in first else []
                first.setdefault(mount.name, target)
                others = [*own, *lenders(mount.name)]
                found.devices.append(self._device(devices[mount.name], mount, target, others))
                found.paths[mount.destination] = part if mount.subpath else target
                if mount.subpath:
                    found.parts.append(Part(target, mount.subpath, part))
            elif mount.propagation in SHARED:
                check_shared(mount.source)
                _make_like(mount.source, target)
                found.shared.append(SharedTarget(mount.source, target))
                found.paths[mount.destination] = target
            elif mount.subpath:
                found.paths[mount.destination] = part
                found.parts.append(self._volume_part(mount, part))
        return found

    @staticmethod
    def _device(
        device: Device, mount: MountPoint, target: str, lenders: list[tuple[str, str]]
    ) -> DeviceTarget:
        failure = device.failure(Path(mount.source))
        return DeviceTarget(
            device.fstype,
            device.source,
            device.flags,
            device.data,
            target,
            tuple(lenders),
            f"error while mounting volume '{mount.source}': {failure}",
        )

    def _tmpfs_modes(self, container: Container) -> dict[str, int]:
        """The permissions of each tmpfs, by its place: given, or of the folder that it covers.

        Of the image's folder, not of what the OCI runtime has made at an earlier start.
        """
        modes = {}
        for mount in container.mounts:
            if mount.type == "tmpfs":
                given = given_mode(mount)
                if given is None:
                    given = tmpfs_mode(self._covered(container, mount.destination))
                modes[mount.destination] = given
        return modes

    def _covered(self, container: Container, target: str) -> os.stat_result | None:
        around = innermost(container.mounts, target)
        if around is None:
            return self._snapshots.base_view(container.id).stat(target)
        return stat_below(self.source(around), around, target)

    def _volume_part(self, mount: MountPoint, target: str) -> Part:
        read_only = mount.recursive and mount.readonly_recursive and not mount.rw
        return Part(
            self.source(mount),
            mount.subpath,
            target,
            recursive=mount.recursive,
            read_only=read_only,
        )

    def source(self, mount: MountPoint) -> str:
        """The host's path of a bind or volume, of which `subpath` is a part.

        Records of an earlier version have the part itself as their source.
        """
        if mount.type == "volume" and mount.subpath:
            return str(self._volumes.get(mount.name).source)
        return mount.source

    def _copy_up(self, container_id: str, mount: MountPoint) -> None:
        view = self._snapshots.container_view(container_id)
        self._volumes.fill(
            mount.name, mount.subpath, lambda folder: view.copy_up(mount.destination, folder)
        )

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
        """Folders that `Binds` names and that are gone are made, as Docker does at each start.

        Raises InvalidArgument for those that must be there, and that volumes stand for.
        """
        for mount in container.mounts:
            if mount.type == "bind":
                _check_bind_source(mount)
            elif mount.type == "volume":
                self._check_volume(mount)

    def _check_volume(self, mount: MountPoint) -> None:
        volume = self._volumes.get(mount.name)
        try:
            volume.check_source()
        except InvalidArgument as error:
            place = volume.mountpoint
            raise InvalidArgument(
                f"error while mounting volume '{place}': {error.message}"
            ) from error

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
        self, container: Container, resolv_conf: str, *, host_gateways: Sequence[str]
    ) -> dict[str, str]:
        """hosts, hostname and resolv.conf; returns target in the container -> file."""
        folder = self.folder(container)
        make_folder(folder, 0o710)
        for file in ("hostname", "hosts", "resolv.conf"):
            make_way(folder / file)
        make_way(self.log_file(container))
        (folder / "hostname").write_text(f"{container.hostname}\n")
        (folder / "resolv.conf").write_text(resolv_conf)
        self.write_hosts(container, (), host_gateways=host_gateways)
        return self.files(container)

    def files(self, container: Container) -> dict[str, str]:
        """Of those files, target in the container -> file."""
        folder = self.folder(container)
        return {f"/etc/{name}": str(folder / name) for name in ("resolv.conf", "hostname", "hosts")}

    def write_resolv_conf(self, container: Container, text: str) -> None:
        """Written in place: the container sees this very file."""
        (self.folder(container) / "resolv.conf").write_text(text)

    def write_hosts(
        self,
        container: Container,
        addresses: Sequence[str],
        *,
        host_gateways: Sequence[str],
        links: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Written in place: the container sees this very file. links: address and names."""
        if container.host_config.network_mode == "host" and not container.host_config.extra_hosts:
            with suppress(OSError):
                (self.folder(container) / "hosts").write_bytes(Path("/etc/hosts").read_bytes())
                return
        text = hosts_file(
            names=_own_names(container),
            addresses=addresses,
            extra_hosts=container.host_config.extra_hosts,
            host_gateways=host_gateways,
            links=links,
        )
        (self.folder(container) / "hosts").write_text(text)


def _volume_settings(
    container: Container, mount: MountPoint
) -> tuple[dict[str, str], dict[str, str]]:
    """Labels, and the driver's options, of a volume that is not there yet."""
    labels = {ANONYMOUS_LABEL: ""} if mount.anonymous else {}
    for asked in container.host_config.mounts:
        given = asked.volume_options
        if given and asked.type == "volume" and asked.target.rstrip("/") == mount.destination:
            return labels | given.labels, given.driver_config.options
    return labels, {}


def _make_like(source: str, target: str) -> None:
    """A place to mount on, of the same kind."""
    if os.path.isdir(source):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _own_names(container: Container) -> str:
    hostname, domain = container.hostname, container.config.domainname
    if domain:
        return f"{hostname}.{domain} {hostname}"
    short, dot, _ = hostname.partition(".")
    return f"{hostname} {short}" if dot else hostname


def _check_bind_source(mount: MountPoint) -> None:
    source = Path(mount.source)
    if source.exists():
        if mount.destination == PROC and source.stat().st_dev != os.stat(PROC).st_dev:
            why = proc_refusal(PROC, is_bind=False)
            raise InvalidArgument(f'invalid mount config for type "bind": {why}')
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
