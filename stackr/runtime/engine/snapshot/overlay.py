"""Unpacked layers, and each container's writable one on top, as the parts of an overlay mount.

Nothing is mounted here: the container's launcher does that, in its own mount namespace, from the
data of `OverlayMount`. On disk, below `EngineConfig.snapshots_root` (entered by root only):

    l/<n>                 one unpacked layer, named by a short number: mount options are limited
    l/empty               the lower directory of an image without layers
    new/<n>               a layer while it is unpacked, renamed to l/<n> at the end
    c/<container>/        upper and work
    trash/                what is being removed

A layer is unpacked once per diff ID, whatever lies below it. The records of kind `layer` and
`snapshot` say what is there. A layer without a record is left from a crash, and removed by `open`;
a container's files without one stay, as a lost record must not cost them.
Unpacking does not wait for the disk: `settle` does so later, and a layer that was not settled when
the host went down is dropped by the next `open`, to be unpacked again.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stackr.errors import AlreadyExists, Internal, InvalidArgument, NotFound
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.disk import suppress_read_only
from stackr.runtime.engine.linux.quota import clear_quota
from stackr.runtime.engine.linux.tree import (
    disk_usage,
    remove_tree,
    spread_children,
    sync_file_system,
)
from stackr.runtime.engine.records import Document, Kind, known_fields
from stackr.runtime.engine.roots import make_folder
from stackr.runtime.engine.snapshot.lookup import LayerStack
from stackr.runtime.engine.snapshot.size import limit_layer
from stackr.runtime.engine.state import State

__all__ = ["LAYER", "SNAPSHOT", "Layer", "Overlay", "OverlayMount", "RootAttributes"]

_CONTAINER: Final = "container"
_MOST_LAYERS: Final = 500  # the kernel's OVL_MAX_STACK
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_PARAMETERS: Final = Path("/sys/module/overlay/parameters")
_SWITCHED_OFF: Final = ("index", "redirect_dir", "metacopy")
"""Features that would make the upper directory unreadable without the mount."""


@dataclass(frozen=True, slots=True)
class RootAttributes:
    """Of a layer's own `/`: those of the topmost layer that has one are the container's."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """An unpacked layer: `directory` is relative to the snapshots' root."""

    diff_id: str
    directory: str
    size_bytes: int
    root: RootAttributes | None


@dataclass(frozen=True, slots=True)
class OverlayMount:
    """A root file system to mount, after a change of directory to `base_dir`.

    lowerdirs: topmost first; without an upperdir the mount is read-only. All three are relative to
    `base_dir`, to stay within the page that the kernel gives to mount options: 127 layers take
    under 1 KiB.
    """

    lowerdirs: tuple[str, ...]
    upperdir: str
    workdir: str
    base_dir: str
    options: tuple[str, ...] = ()

    @property
    def data(self) -> str:
        """The last argument of mount(2)."""
        parts = [f"lowerdir={':'.join(self.lowerdirs)}"]
        if self.upperdir:
            parts += [f"upperdir={self.upperdir}", f"workdir={self.workdir}"]
        return ",".join((*parts, *self.options))


class Overlay:
    """The snapshotter; every method but `open` is cheap unless it says otherwise.

    `prepare`, `settle`, and the views may run in threads; the rest on the event loop's.
    """

    def __init__(self, config: EngineConfig, state: State) -> None:
        self._root = config.snapshots_root
        self._state = state
        self._layers: dict[str, Layer] = {}
        self._snapshots: dict[str, tuple[str, ...]] = {}
        self._mounted: dict[str, tuple[tuple[str, ...], ...]] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._options: tuple[str, ...] = ()
        self._needed: Callable[[], frozenset[str]] = frozenset

    def open(self) -> None:
        """Read the records and remove what a crash has left; blocking, for the daemon's start."""
        for name in ("l/empty", "new", "c", "trash"):
            make_folder(self._root / name)
        with suppress_read_only():
            for name in ("new", "c"):
                spread_children(self._root / name)
            self._root.chmod(0o700)
        self._options = tuple(
            f"{name}=off" for name in _SWITCHED_OFF if (_PARAMETERS / name).exists()
        )
        boot = _BOOT_ID.read_text().strip()
        for diff_id, (layer, since) in self._state.read(LAYER, strict=True).items():
            if since in (None, boot) and (self._root / layer.directory).is_dir():
                self._layers[diff_id] = layer
            else:
                self._state.delete(LAYER.name, diff_id)
        for container_id, found in self._state.read(SNAPSHOT, strict=True).items():
            self._snapshots[container_id], self._mounted[container_id] = found
        self._sweep()
        names = (name for name in os.listdir(self._root / "l") if name.isalnum())
        taken = [int(name, 36) for name in names if name != "empty"]
        self._numbers = itertools.count(max(taken, default=0) + 1)

    def _sweep(self) -> None:
        known = {layer.directory for layer in self._layers.values()} | {"l/empty"}
        known |= {f"c/{container_id}" for container_id in self._snapshots}
        # A container's record is there before its files are, and goes after them: what has none was
        # lost, but for a folder that was never mounted, which a crash has left half-made.
        lost = []
        for name in os.listdir(self._root / "c"):
            if f"c/{name}" in known:
                continue
            if not _was_mounted(self._root / "c" / name):
                with suppress_read_only():
                    _remove_all([self._root / "c" / name])
                continue
            lost.append(name)
            if self._state.get(_CONTAINER, name) is None:
                folder = self._root / "c" / name
                self._state.note(f"container {name[:12]}: has no record: its files are in {folder}")
        for parent in ("new", "trash") if lost else ("l", "new", "trash"):
            for name in os.listdir(self._root / parent):
                if f"{parent}/{name}" not in known:
                    with suppress_read_only():
                        _remove_all([self._root / parent / name])

    def layer(self, diff_id: str) -> Layer | None:
        return self._layers.get(diff_id)

    def begin_layer(self) -> Path:
        """An empty directory to unpack into, for `commit_layer` or `abort_layer`."""
        path = self._root / "new" / _base36(next(self._numbers))
        path.mkdir(mode=0o755)
        return path

    def begin_layer_of(self, container_id: str) -> Path:
        """As `begin_layer`, with what the container has written; it has nothing of it any more.

        The container does not run and is only to be removed. Raises NotFound.
        """
        upper = self.upper_directory(container_id)
        path = self._root / "new" / _base36(next(self._numbers))
        os.rename(upper, path)
        return path

    def folder(self, diff_id: str) -> Path:
        """Where a layer is unpacked. Raises NotFound."""
        layer = self._layers.get(diff_id)
        if layer is None:
            raise NotFound(f"layer {diff_id}: is not unpacked")
        return self._root / layer.directory

    def commit_layer(
        self, path: Path, *, diff_id: str, size_bytes: int, root: RootAttributes | None
    ) -> Layer:
        """Keep what was unpacked at `path`; where the layer is already there, that one stays."""
        present = self._layers.get(diff_id)
        if present is not None:
            self._discard(path)
            return present
        layer = Layer(diff_id, f"l/{path.name}", size_bytes, root)
        os.rename(path, self._root / layer.directory)
        self._state.save(LAYER, diff_id, (layer, _BOOT_ID.read_text().strip()))
        self._layers[diff_id] = layer
        return layer

    def has_unsettled_layers(self) -> bool:
        return any(body["unsettled_since"] for body in self._state.all(LAYER.name).values())

    def settle(self) -> None:
        """Wait until every layer is on the disk, and record it; blocking, for seconds."""
        unsettled = {
            diff_id: body
            for diff_id, body in self._state.all(LAYER.name).items()
            if body["unsettled_since"]
        }
        sync_file_system(self._root)
        with self._state.transaction():
            for diff_id, body in unsettled.items():
                # It may have been removed meanwhile
                if self._state.get(LAYER.name, diff_id) == body:
                    self._state.put(LAYER.name, diff_id, {**body, "unsettled_since": None})

    def abort_layer(self, path: Path) -> None:
        """Remove what was unpacked at `path`; blocking, as large as the layer."""
        self._discard(path)

    def keep_layers(self, needed: Callable[[], frozenset[str]]) -> None:
        """Ask `needed` for the diff IDs that images want kept, whenever layers may go."""
        self._needed = needed

    async def release_layers(self) -> list[str]:
        """Remove the layers that no image wants and no container stands on; returns diff IDs."""
        with self._lock:
            mounted = (layers for images in self._mounted.values() for layers in images)
            wanted = self._needed().union(*self._snapshots.values(), *mounted)
            unneeded = [layer for diff_id, layer in self._layers.items() if diff_id not in wanted]
            aside = [self._withdraw(layer) for layer in unneeded]
        if aside:
            await asyncio.to_thread(_remove_all, aside)
        return [layer.diff_id for layer in unneeded]

    def _withdraw(self, layer: Layer) -> Path:
        self._state.delete(LAYER.name, layer.diff_id)
        del self._layers[layer.diff_id]
        return self._to_trash(self._root / layer.directory)

    def prepare(
        self,
        container_id: str,
        diff_ids: Sequence[str],
        mounted: Sequence[Sequence[str]] = (),
        *,
        size_bytes: int = 0,
    ) -> None:
        """Make the writable layer of a container on top of `diff_ids`, base layer first.

        mounted: the layers of the images that it mounts, which are kept for it as well. size_bytes:
        how much it may hold, 0 for any. Raises NotFound for a layer that is not unpacked,
        AlreadyExists for a second snapshot of one container, InvalidArgument for more layers than
        the kernel stacks, and where nothing keeps to a size.
        """
        if len(diff_ids) > _MOST_LAYERS:
            raise InvalidArgument(f"image: {len(diff_ids)} layers: at most {_MOST_LAYERS} stack")
        with self._lock:
            if container_id in self._snapshots:
                raise AlreadyExists(f'snapshot "{container_id}": already exists')
            root = self._root_attributes(diff_ids)
            for layers in mounted:
                self._root_attributes(layers)
            self._snapshots[container_id] = tuple(diff_ids)
            self._mounted[container_id] = tuple(tuple(layers) for layers in mounted)
        try:
            self._make_writable(container_id, root, size_bytes)
            own = self._snapshots[container_id], self._mounted[container_id]
            self._state.save(SNAPSHOT, container_id, own)
        except BaseException:
            del self._snapshots[container_id], self._mounted[container_id]
            with suppress(FileNotFoundError):
                self._discard(self._root / "c" / container_id)
            raise

    def restore(self, container_id: str, size_bytes: int = 0) -> None:
        """Before a start: make anew what somebody has deleted of a container's own layer.

        What was in it is lost, which is told. Raises NotFound for a layer below that is lost, too.
        """
        folder = self._root / "c" / container_id
        if (folder / "upper").is_dir():
            make_folder(folder / "work", 0o700)
            return
        root = self._root_attributes(self._layers_of(container_id))
        self._state.note(f"container {container_id[:12]}: what it wrote is gone from {folder}")
        self._make_writable(container_id, root, size_bytes)

    def _make_writable(self, container_id: str, root: RootAttributes, size_bytes: int) -> None:
        folder = self._root / "c" / container_id
        with suppress(FileNotFoundError):
            self._discard(folder)
        folder.mkdir(parents=True, mode=0o700)
        if size_bytes:
            limit_layer(folder, size_bytes)
        (folder / "work").mkdir(mode=0o700)
        upper = folder / "upper"
        upper.mkdir(mode=0o700)
        os.chown(upper, root.uid, root.gid)
        os.chmod(upper, root.mode)

    def _root_attributes(self, diff_ids: Sequence[str]) -> RootAttributes:
        found = RootAttributes()
        for diff_id in diff_ids:
            layer = self._layers.get(diff_id)
            if layer is None:
                raise NotFound(f"layer {diff_id}: is not unpacked")
            found = layer.root or found
        return found

    def rootfs(self, container_id: str) -> OverlayMount:
        """What to mount for a prepared container. Raises NotFound."""
        return OverlayMount(
            lowerdirs=tuple(self._lower(self._layers_of(container_id))) or ("l/empty",),
            upperdir=f"c/{container_id}/upper",
            workdir=f"c/{container_id}/work",
            base_dir=str(self._root),
            options=self._options,
        )

    def mounted(self, container_id: str) -> list[OverlayMount]:
        """The images that a container mounts, in the order of its `prepare`; read-only.

        Each must have a layer.
        """
        return [self._read_only(layers) for layers in self._mounted.get(container_id, ())]

    def mounted_layers(self, container_id: str) -> tuple[tuple[str, ...], ...]:
        """Of each of those images, the diff IDs, base layer first."""
        return self._mounted.get(container_id, ())

    def _read_only(self, diff_ids: Sequence[str]) -> OverlayMount:
        """Without an upper directory there must be two lower ones."""
        lower = self._lower(diff_ids)
        lower += ["l/empty"] if len(lower) < 2 else []
        return OverlayMount(tuple(lower), "", "", str(self._root), self._options)

    def _lower(self, diff_ids: Sequence[str]) -> list[str]:
        """Topmost first. A layer that occurs twice is listed once, at its higher place: overlayfs
        refuses duplicates, and the higher one hides all that the lower one shows.
        """
        directories: list[str] = []
        for diff_id in dict.fromkeys(reversed(diff_ids)):
            if diff_id not in self._layers:
                raise Internal(f"layer {diff_id}: its files are lost")
            directories.append(self._layers[diff_id].directory)
        return directories

    def _layers_of(self, container_id: str) -> tuple[str, ...]:
        if container_id not in self._snapshots:
            raise NotFound(f'snapshot "{container_id}": does not exist')
        return self._snapshots[container_id]

    def container_view(self, container_id: str) -> LayerStack:
        """The files of a container, its own changes included, running or not."""
        lower = self._lower(self._layers_of(container_id))
        return LayerStack(
            [self._root / "c" / container_id / "upper", *map(self._root.joinpath, lower)]
        )

    def base_view(self, container_id: str) -> LayerStack:
        """The files that a container had when it was made: its image's."""
        return self.image_view(self._layers_of(container_id))

    def upper_directory(self, container_id: str) -> Path:
        """What the container has changed, in overlayfs's own form. Raises NotFound."""
        self._layers_of(container_id)
        return self._root / "c" / container_id / "upper"

    def image_view(self, diff_ids: Sequence[str]) -> LayerStack:
        """The files of an image whose layers are unpacked, base layer first."""
        lower = self._lower(diff_ids) or ["l/empty"]
        return LayerStack([self._root / directory for directory in lower])

    def containers(self) -> list[str]:
        """The containers that have a snapshot."""
        return list(self._snapshots)

    async def remove(self, container_id: str) -> None:
        """Remove a container's writable layer, and the layers below that nothing else needs.

        A missing one is fine.
        """
        diff_ids = [*self._snapshots.pop(container_id, ())]
        diff_ids += [each for layers in self._mounted.pop(container_id, ()) for each in layers]
        self._state.delete(SNAPSHOT.name, container_id)
        with suppress(FileNotFoundError):
            aside = self._to_trash(self._root / "c" / container_id)
            await asyncio.to_thread(_remove_all, [aside])
        if not self._needed().issuperset(diff_ids):
            await self.release_layers()

    async def usage(self, container_id: str) -> int:
        """Bytes in the files that the container has written or changed; walks them all."""
        self._layers_of(container_id)
        return await asyncio.to_thread(disk_usage, self._root / "c" / container_id / "upper")

    def _discard(self, path: Path) -> None:
        _remove_all([self._to_trash(path)])

    def _to_trash(self, path: Path) -> Path:
        aside = self._root / "trash" / _base36(next(self._numbers))
        os.rename(path, aside)
        return aside


def _remove_all(paths: Sequence[Path]) -> None:
    for path in paths:
        clear_quota(path)  # of a container's folder, where it has a size
        remove_tree(path)


def _layer_from(diff_id: str, document: Document) -> tuple[Layer, str | None]:
    """A layer, and the boot since which it is not settled."""
    root = (
        RootAttributes(**known_fields(RootAttributes, document["root"]))
        if document["root"]
        else None
    )
    layer = Layer(diff_id, document["directory"], document["size_bytes"], root)
    return layer, document["unsettled_since"]


def _snapshot_from(
    _: str, document: Document
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """A container's layers, and those of each image that it mounts."""
    return tuple(document["layers"]), tuple(tuple(each) for each in document.get("mounted", ()))


def _layer_document(stored: tuple[Layer, str | None]) -> Document:
    layer, since = stored
    root = layer.root
    return {
        "directory": layer.directory,
        "size_bytes": layer.size_bytes,
        "root": {"mode": root.mode, "uid": root.uid, "gid": root.gid} if root else None,
        "unsettled_since": since,
    }


LAYER: Final = Kind("layer", parse=_layer_from, dump=_layer_document)
SNAPSHOT: Final = Kind(
    "snapshot", parse=_snapshot_from, dump=lambda own: {"layers": own[0], "mounted": own[1]}
)


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = digits[digit] + text
    return text or "0"


def _was_mounted(folder: Path) -> bool:
    """Whether a container's own layer has ever been in use: overlayfs puts a folder into `work`."""
    try:
        with os.scandir(folder / "work") as entries:
            return any(entries)
    except FileNotFoundError:
        return False
