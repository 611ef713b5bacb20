"""What a container asks to have mounted: `Binds`, `Mounts`, `Tmpfs`, `Volumes`, `VolumesFrom`;
pure.

The result says what goes where; volumes get their folder, and bind sources their check, in
`storage.py`. Source: Docker Engine API `HostConfig`; moby's texts for what is refused.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.engine.container.records.record import MountPoint
from stackr.runtime.engine.container.settings.spec import BindOptions, Config, HostConfig, Mount
from stackr.runtime.proc_targets import proc_refusal

__all__ = ["plan_mounts"]

_PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
_NO_EFFECT = ("z", "Z", "consistent", "cached", "delegated", "")
_OWN_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
_VOLUME_MODE = "z"
"""What dockerd notes of a volume whose caller gives no mode."""
_TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")

MountsOf = Callable[[str], Sequence[MountPoint]]


def plan_mounts(config: Config, host_config: HostConfig, mounts_of: MountsOf) -> list[MountPoint]:
    """Every mount, outer folders first, so that an inner one is not covered.

    mounts_of: the mounts of another container by its name or ID, for `VolumesFrom`.
    Raises InvalidArgument, with Docker's texts, for malformed entries and two mounts at one place.
    """
    chosen: dict[str, MountPoint] = {}
    driver = host_config.volume_driver
    for entry in host_config.volumes_from:
        for mount in _from_container(entry, mounts_of):
            chosen[mount.destination] = mount
    explicit = [
        *(_parse_bind(bind, driver) for bind in host_config.binds),
        *(_parse_mount(mount) for mount in host_config.mounts),
        *(_parse_tmpfs(target, options) for target, options in host_config.tmpfs.items()),
    ]
    _refuse_duplicates(explicit)
    chosen.update((mount.destination, mount) for mount in explicit)
    for target in config.volumes:
        destination = _destination(target)
        if destination not in chosen:
            chosen[destination] = _volume(destination, driver, anonymous=True)
    for mount in chosen.values():
        _check_place(mount)
    return sorted(chosen.values(), key=lambda mount: (_depth(mount.destination), mount.destination))


def _check_place(mount: MountPoint) -> None:
    """Refuse what no OCI runtime mounts, or nobody could use."""
    why = proc_refusal(mount.destination, is_bind=mount.type == "bind" or bool(mount.subpath))
    is_folder = mount.type != "bind" and not mount.subpath
    if is_folder and mount.destination in _OWN_FILES:
        why = f'"{mount.destination}" cannot be mounted because it is not a directory'
    if mount.destination == "/dev" and mount.type == "tmpfs" and "nodev" in mount.options:
        why = '"/dev" cannot be mounted as a tmpfs without the option dev: no device would work'
    if why:
        raise InvalidArgument(f'invalid mount config for type "{mount.type}": {why}')


def _depth(path: str) -> int:
    return path.count("/")


def _destination(target: str) -> str:
    if not target.startswith("/"):
        raise InvalidArgument(f"invalid mount path: '{target}' mount path must be absolute")
    clean = posixpath.normpath(target).replace("//", "/")
    if clean == "/":
        raise InvalidArgument("invalid specification: destination can't be '/'")
    return clean


def _refuse_duplicates(mounts: Iterable[MountPoint]) -> None:
    seen = set()
    for mount in mounts:
        if mount.destination in seen:
            raise InvalidArgument(f"Duplicate mount point: {mount.destination}")
        seen.add(mount.destination)


def _volume(
    destination: str, driver: str, *, name: str = "", anonymous: bool = False
) -> MountPoint:
    return MountPoint(
        "volume",
        destination,
        name=name,
        driver=driver or "local",
        copy_up=True,
        anonymous=anonymous,
    )


def _parse_bind(text: str, driver: str) -> MountPoint:
    """ "/host:/path:ro", "name:/path:nocopy"."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not all(parts[:2]):
        raise InvalidArgument(f"invalid volume specification: '{text}'")
    source, destination = parts[0], _destination(parts[1])
    options = parts[2].split(",") if len(parts) == 3 else []
    if source.startswith("/"):
        mount = MountPoint("bind", destination, posixpath.normpath(source), propagation="rprivate")
    else:
        mount = replace(_volume(destination, driver, name=source), mode=_VOLUME_MODE)
    if len(parts) == 3:
        mount = replace(mount, mode=parts[2])
    for option in options:
        mount = _with_option(mount, option, text)
    return mount


def _with_option(mount: MountPoint, option: str, text: str) -> MountPoint:
    if option in ("ro", "rw"):
        return replace(mount, rw=option == "rw")
    if option == "nocopy" and mount.type == "volume":
        return replace(mount, copy_up=False)
    if option in _PROPAGATIONS and mount.type == "bind":
        return replace(mount, propagation=option)
    if option in _NO_EFFECT:
        return mount
    raise InvalidArgument(f"invalid volume specification: '{text}': invalid mode: {option}")


def _parse_mount(mount: Mount) -> MountPoint:
    if not mount.target:
        raise _invalid(mount, "field Target must not be empty")
    destination = _destination(mount.target)
    match mount.type:
        case "bind":
            return _bind_mount(mount, destination)
        case "volume":
            return _volume_mount(mount, destination)
        case "tmpfs":
            return _tmpfs_mount(mount, destination)
        case "image":
            return _image_mount(mount, destination)
        case "npipe" | "cluster":
            raise NotSupported(
                f"HostConfig.Mounts: type not supported by the embedded engine: {mount.type}"
            )
        case _:
            raise _invalid(mount, "mount type unknown")


def _invalid(mount: Mount, why: str) -> InvalidArgument:
    return InvalidArgument(f'invalid mount config for type "{mount.type}": {why}')


def _bind_mount(mount: Mount, destination: str) -> MountPoint:
    options = mount.bind_options
    if not mount.source:
        raise _invalid(mount, "field Source must not be empty")
    if not mount.source.startswith("/"):
        raise _invalid(mount, f"invalid mount path: '{mount.source}' mount path must be absolute")
    if mount.volume_options or mount.tmpfs_options:
        raise _invalid(mount, "field VolumeOptions and TmpfsOptions must not be specified")
    propagation = (options.propagation if options else "") or "rprivate"
    if options and options.read_only_force_recursive:
        _check_forced(mount, options, propagation)
    if propagation not in _PROPAGATIONS:
        raise _invalid(mount, f"invalid propagation mode: {propagation}")
    return MountPoint(
        "bind",
        destination,
        posixpath.normpath(mount.source),
        rw=not mount.read_only,
        propagation=propagation,
        recursive=not (options and options.non_recursive),
        readonly_recursive=not (options and options.read_only_non_recursive),
        options=_CREATE if options and options.create_mountpoint else _MUST_EXIST,
    )


def _check_forced(mount: Mount, options: BindOptions, propagation: str) -> None:
    """What is below a read-only folder is read-only by default; here nothing may speak against."""
    if not mount.read_only:
        raise _invalid(mount, "ReadOnlyForceRecursive requires ReadOnly")
    if options.non_recursive or options.read_only_non_recursive or propagation != "rprivate":
        raise _invalid(
            mount,
            "ReadOnlyForceRecursive excludes NonRecursive, ReadOnlyNonRecursive and any propagation"
            " but rprivate",
        )


_MUST_EXIST = ("must-exist",)
"""Marks a bind whose source is not created: `Mounts` in contrast to `Binds`."""
_CREATE: tuple[str, ...] = ()


def _check_subpath(mount: Mount, subpath: str) -> None:
    if subpath.startswith("/") or ".." in subpath.split("/") or "\0" in subpath:
        raise _invalid(mount, f"subpath must be a relative path within the {mount.type}")


def _image_mount(mount: Mount, destination: str) -> MountPoint:
    """Always read-only: an image is the same for everyone."""
    if not mount.source:
        raise _invalid(mount, "field Source must not be empty")
    if mount.bind_options or mount.volume_options or mount.tmpfs_options:
        raise _invalid(
            mount, "field BindOptions, VolumeOptions and TmpfsOptions must not be specified"
        )
    subpath = mount.image_options.subpath if mount.image_options else ""
    _check_subpath(mount, subpath)
    return MountPoint("image", destination, mount.source, rw=False, subpath=subpath)


def _volume_mount(mount: Mount, destination: str) -> MountPoint:
    options = mount.volume_options
    if mount.bind_options or mount.tmpfs_options:
        raise _invalid(mount, "field BindOptions and TmpfsOptions must not be specified")
    if options and options.subpath:
        _check_subpath(mount, options.subpath)
    driver = options.driver_config.name if options else ""
    point = _volume(destination, driver, name=mount.source, anonymous=not mount.source)
    return replace(
        point,
        mode=_VOLUME_MODE,
        rw=not mount.read_only,
        copy_up=not (options and options.no_copy),
        subpath=options.subpath if options else "",
    )


def _tmpfs_mount(mount: Mount, destination: str) -> MountPoint:
    if mount.source:
        raise _invalid(mount, "field Source must not be specified")
    if mount.bind_options or mount.volume_options:
        raise _invalid(mount, "field BindOptions and VolumeOptions must not be specified")
    options = [*_TMPFS_DEFAULTS]
    if mount.read_only:
        options.append("ro")
    if mount.tmpfs_options:
        if mount.tmpfs_options.size_bytes:
            options.append(f"size={mount.tmpfs_options.size_bytes}")
        if mount.tmpfs_options.mode:
            options.append(f"mode={mount.tmpfs_options.mode:o}")
        options += ["=".join(option) for option in mount.tmpfs_options.options]
    return MountPoint("tmpfs", destination, rw=not mount.read_only, options=tuple(options))


def _parse_tmpfs(target: str, text: str) -> MountPoint:
    given = [option for option in text.split(",") if option]
    names = {option.removeprefix("no") for option in given}
    defaults = [option for option in _TMPFS_DEFAULTS if option.removeprefix("no") not in names]
    for option in given:
        if not option.replace("=", "").replace("%", "").replace(".", "").isalnum():
            raise InvalidArgument(f'invalid tmpfs option "{option}"')
    return MountPoint(
        "tmpfs", _destination(target), rw="ro" not in given, options=(*defaults, *given)
    )


def _from_container(entry: str, mounts_of: MountsOf) -> list[MountPoint]:
    name, _, mode = entry.partition(":")
    if mode not in ("", "ro", "rw", "z", "Z"):
        raise InvalidArgument(f'invalid mode for volumes-from: "{mode}"')
    return [
        replace(mount, rw=mount.rw and mode != "ro", anonymous=False, copy_up=False)
        for mount in mounts_of(name)
        if mount.type in ("bind", "volume")
    ]
