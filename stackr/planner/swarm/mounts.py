"""What a service's tasks mount: volumes are made by the node that needs them, by the mount itself.

Source: docker/cli, cli/compose/convert/volume.go; moby, api/types/mount/mount.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from stackr.planner.desired.keys import mounted_image
from stackr.planner.swarm.draft import Draft
from stackr.runtime import labels
from stackr.runtime.proc_targets import proc_refusal
from stackr.spec.model.mounts import BindOptions, ServiceVolume
from stackr.spec.rules import Path
from stackr.spec.units import parse_size

__all__ = ["mounts", "stack_volumes"]

_SHM = "/dev/shm"


def mounts(draft: Draft) -> list[dict[str, Any]]:
    """Of `volumes`, `tmpfs` and `shm_size`; two at one path are a problem."""
    taken: dict[str, Path] = {}
    found = []
    for path, mount in _mounts(draft):
        target = mount["Target"]
        if target in taken:
            draft.faults.add(path, f'"{target}" is mounted twice')
        why = (
            "it is the root"
            if target == "/"
            else proc_refusal(target, is_bind=mount["Type"] == "bind")
        )
        if why:
            draft.faults.add(path, f'cannot be mounted at "{target}": {why}')
        taken[target] = path
        found.append(mount)
    return found


def _mounts(draft: Draft) -> Iterator[tuple[Path, dict[str, Any]]]:
    for index, volume in enumerate(draft.service.volumes):
        path = draft.at("volumes", index)
        yield path, _mount(draft, volume, path)
    for index, written in enumerate(draft.service.tmpfs):
        path = draft.at("tmpfs", index)
        yield path, _tmpfs(draft, written, path)
    if draft.service.shm_size:
        options = {"SizeBytes": draft.service.shm_size}
        mount = {"Type": "tmpfs", "Target": _SHM, "TmpfsOptions": options}
        yield draft.at("shm_size"), mount


def _mount(draft: Draft, volume: ServiceVolume, path: Path) -> dict[str, Any]:
    source = volume.source or ""
    mount: dict[str, Any] = {
        "Type": volume.type,
        "Source": source,
        "Target": posixpath.normpath(f"/{(volume.target or '/').lstrip('/')}"),
        "ReadOnly": volume.read_only,
        "Consistency": volume.consistency or "",
    }
    if volume.type == "bind":
        mount["BindOptions"] = _bind_options(draft, volume.bind, path)
        if not source.startswith("/"):
            draft.faults.add(path, f'a bind mount needs an absolute path on each node: "{source}"')
    elif volume.type == "volume":
        mount["VolumeOptions"] = _volume_options(draft, volume, path)
        mount["Source"] = _volume_name(draft, source)
    elif volume.type == "tmpfs":
        options = volume.tmpfs
        mount["TmpfsOptions"] = {"SizeBytes": options.size, "Mode": options.mode} if options else {}
    elif volume.type == "image":
        draft.api.check("image_mounts", path)
        mount["Source"] = mounted_image(draft.project, source)
        mount["ImageOptions"] = {"Subpath": (volume.image.subpath if volume.image else "") or ""}
    elif volume.type == "cluster":
        draft.api.check("cluster_volumes", path)
        mount["Source"] = _volume_name(draft, source)
    return mount


def stack_volumes(spec: Mapping[str, Any], project: str) -> frozenset[str]:
    """The names of the volumes in an observed spec that were made for the project.

    One without a name goes with its task.
    """
    container = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    return frozenset(
        mount["Source"]
        for mount in container.get("Mounts") or ()
        if mount.get("Type") == "volume" and mount.get("Source")
        if ((mount.get("VolumeOptions") or {}).get("Labels") or {}).get(labels.STACK_NAMESPACE)
        == project
    )


def _volume_name(draft: Draft, key: str) -> str:
    volume = draft.project.volumes.get(key)
    return (volume.name or key) if volume is not None else key


def _bind_options(draft: Draft, bind: BindOptions | None, path: Path) -> dict[str, Any]:
    options: dict[str, Any] = {"Propagation": (bind.propagation if bind else "") or ""}
    recursive = (bind.recursive if bind else "") or ""
    if recursive == "disabled":
        options["NonRecursive"] = True
    elif recursive in ("writable", "readonly"):
        draft.api.check("recursive_read_only", (*path, "bind", "recursive"))
        options["ReadOnlyNonRecursive"] = recursive == "writable"
        options["ReadOnlyForceRecursive"] = recursive == "readonly"
    if draft.api.has("create_host_path"):
        options["CreateMountpoint"] = bind.create_host_path if bind else True
    return options


def _volume_options(draft: Draft, mounted: ServiceVolume, path: Path) -> dict[str, Any]:
    own = mounted.volume
    options: dict[str, Any] = {"NoCopy": own.nocopy if own else False}
    if own and own.subpath and draft.api.check("volume_subpath", (*path, "volume", "subpath")):
        options["Subpath"] = own.subpath
    volume = draft.project.volumes.get(mounted.source or "")
    written = dict(own.labels) if own else {}
    if volume is not None and not volume.external:
        namespace = {labels.STACK_NAMESPACE: draft.project.name}
        options["Labels"] = {**namespace, **volume.labels, **written}
        driver = "" if volume.driver in (None, "default") else volume.driver
        options["DriverConfig"] = {"Name": driver, "Options": dict(volume.driver_opts)}
    elif written:
        options["Labels"] = written
    return options


# --- tmpfs in its short form ---------------------------------------------------------------------

_AS_ANYWAY = ("", "rw", "nosuid", "nodev")
"""What every tmpfs is."""


def _tmpfs(draft: Draft, written: str, path: Path) -> dict[str, Any]:
    """`/run:size=64m,mode=1777,noexec`."""
    target, _, text = written.partition(":")
    options: dict[str, Any] = {}
    mount: dict[str, Any] = {
        "Type": "tmpfs",
        "Target": posixpath.normpath(f"/{target.lstrip('/')}"),
        "TmpfsOptions": options,
    }
    others: list[list[str]] = []
    for word in text.split(","):
        key, _, value = word.partition("=")
        try:
            if key == "size":
                options["SizeBytes"] = parse_size(value)
            elif key == "mode":
                options["Mode"] = int(value, 8)
            elif key == "ro":
                mount["ReadOnly"] = True
            elif key not in _AS_ANYWAY and draft.api.check("tmpfs_options", path):
                others.append([key, value] if value else [key])
        except ValueError:
            draft.faults.add(path, f'not a {key}: "{value}"')
    options["Options"] = others
    return mount
