"""Local volumes: folders that outlive containers, by name.

A volume's content is deleted only by an explicit `remove` or `prune`: nothing else here deletes,
and a folder that no record knows is a volume whose record was lost. Removal renames the folder
first, so that a crash in the middle is finished by the next `open`. Messages are Docker's, as
clients match them.
"""

from __future__ import annotations

import asyncio
import builtins
import json
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from stackr.errors import Conflict, InvalidArgument, NotFound, NotSupported, StackrError
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.linux.quota import clear_quota, set_quota
from stackr.runtime.engine.linux.subpath import open_subpath, subpath_failure
from stackr.runtime.engine.linux.tree import disk_usage
from stackr.runtime.engine.records import Document, Kind, NewerRecord
from stackr.runtime.engine.roots import make_folder
from stackr.runtime.engine.state import MALFORMED, State
from stackr.runtime.engine.volume_content import fill, recover
from stackr.runtime.engine.volume_device import (
    Device,
    check_options,
    device_of,
    is_bind,
    mounted_apart,
    size_of,
    words,
)

__all__ = ["ANONYMOUS_LABEL", "VOLUME", "Volume", "Volumes"]

ANONYMOUS_LABEL = "com.docker.volume.anonymous"

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_REMOVING = ".removing-"
_DESCRIPTION = "volume.json"
_KIND_FIELD = "record_kind"
_LONGEST_NAME = 255 - len(f"{_REMOVING}.01234567")
"""So that the folder has a name while it is removed, too."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume. created_ns: since the epoch; options: as `--opt` gave them."""

    name: str
    mountpoint: Path
    created_ns: int
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    driver: str = "local"

    @property
    def is_anonymous(self) -> bool:
        return ANONYMOUS_LABEL in self.labels

    @property
    def source(self) -> Path:
        """The folder on the host that containers get: the bound device, else the mount point."""
        return Path(self.options["device"]) if self._is_bind else self.mountpoint

    def check_source(self) -> None:
        """Raises InvalidArgument, with Docker's words, where a bound folder is not there, and
        OSError where its own is still to be made and there is no room for it.
        """
        if not self._is_bind:
            _make_folder(self.mountpoint)
        elif not self.source.is_dir():
            device = Device("none", self.options["device"], 0x1000, "")
            why = "not a directory" if self.source.exists() else "no such file or directory"
            raise InvalidArgument(f"{device.failure(self.mountpoint)}: {why}")

    @property
    def is_read_only(self) -> bool:
        return self._is_bind and "ro" in words(self.options["o"])

    @property
    def device(self) -> Device | None:
        """Set where a file system is to be mounted on `mountpoint`, while containers use it."""
        return device_of(self.options)

    @property
    def _is_bind(self) -> bool:
        return is_bind(self.options)


class Volumes:
    """The engine's volumes; looked up in memory, written through to the state."""

    def __init__(self, config: EngineConfig, state: State, events: EventBus) -> None:
        self._root = config.volumes_root
        self._state = state
        self._events = events
        self._volumes: dict[str, Volume] = {}
        self._left_alone: dict[str, NewerRecord] = {}
        self._users: dict[str, set[str]] = {}
        self._fills: dict[str, threading.Lock] = {}

    async def open(self) -> None:
        """Read the records, finish interrupted removals, and put back missing empty folders."""
        await asyncio.to_thread(self._open)

    def _open(self) -> None:
        make_folder(self._root, 0o700)
        for leftover in self._root.glob(f"{_REMOVING}*"):
            name = leftover.name.removeprefix(_REMOVING).rpartition(".")[0]
            if not (self._root / name).exists():
                self._state.delete(VOLUME.name, name)
            _delete_volume(leftover)
        self._volumes = {
            name: replace(volume, mountpoint=self._root / name / "_data")
            for name, volume in self._state.read(VOLUME).items()
        }
        self._left_alone = self._state.newer(VOLUME)
        self._find_orphans()
        for volume in self._volumes.values():
            self._restore(volume)

    def _restore(self, volume: Volume) -> None:
        """What cannot be done on a disk that is full keeps no engine from starting."""
        try:
            _make_folder(volume.mountpoint)
            recover(volume.mountpoint)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            self._state.note(f'volume "{volume.name}": its folder is not as it should be: {why}')
        else:
            self._describe(volume)

    def _find_orphans(self) -> None:
        """Volumes whose records are lost: what they hold is not."""
        for entry in sorted(self._root.iterdir()):
            name = entry.name
            is_known = name in self._volumes or name in self._left_alone
            if is_known or not _NAME.fullmatch(name) or not (entry / "_data").is_dir():
                continue
            try:
                volume, document = _found(entry)
            except NewerRecord as error:
                self._left_alone[name] = error
                self._state.note(error.message)
                continue
            self._state.put(VOLUME.name, name, document)
            self._state.note(f'volume "{name}": its record was lost: it is found again')
            self._volumes[name] = volume

    def _describe(self, volume: Volume) -> None:
        """Beside the content, what a lost record has told."""
        file = volume.mountpoint.with_name(_DESCRIPTION)
        if not file.exists():
            with suppress(OSError):  # a full disk: it is written by a later start
                file.touch(mode=0o600)
                file.write_text(json.dumps({_KIND_FIELD: VOLUME.name, **VOLUME.written(volume)}))

    def list(self) -> list[Volume]:
        return [self._volumes[name] for name in sorted(self._volumes)]

    def get(self, name: str) -> Volume:
        """Raises NotFound, and NewerRecord."""
        try:
            return self._volumes[name]
        except KeyError:
            self._check_known(name)
            raise NotFound(f"get {name}: no such volume") from None

    def _check_known(self, name: str) -> None:
        if name in self._left_alone:
            raise self._left_alone[name]

    async def create(
        self,
        name: str | None = None,
        driver: str = "local",
        driver_opts: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """The volume of this name, made where there is none; an empty name makes an anonymous one.

        Raises InvalidArgument for a bad name or option, NotFound for another driver, NotSupported
        for a kind of mount that the engine does not make.
        """
        labels = dict(labels or {})
        if not name:
            name = secrets.token_hex(32)
            labels[ANONYMOUS_LABEL] = ""
        if driver not in ("", "local"):
            raise NotFound(
                f"create {name}: error looking up volume plugin {driver}:"
                f' plugin "{driver}" not found'
            )
        if name in self._volumes:
            return self._volumes[name]
        self._check_known(name)
        _check_name(name)
        options = dict(driver_opts or {})
        check_options(name, options)
        volume = Volume(name, self._root / name / "_data", time.time_ns(), labels, options)
        self._state.check_room()
        prepared = self._aside(name)
        try:
            _make_folder(prepared / "_data")  # before the record, which a full disk may not let go
            self._make(volume, prepared)
        finally:
            _delete_volume(prepared)
        self._describe(volume)
        self._volumes[name] = volume
        self._events.publish("volume", "create", name, {"driver": "local"})
        return volume

    def _make(self, volume: Volume, prepared: Path) -> None:
        """Its record, and its folder from `prepared`, unless there is one already."""
        name = volume.name
        self._state.save(VOLUME, name, volume)
        try:
            with suppress(OSError):
                os.rename(prepared, self._root / name)
            _make_folder(volume.mountpoint)
            self._limit(volume)
        except (OSError, StackrError):
            _delete_volume(self._root / name)
            self._state.delete(VOLUME.name, name)
            raise

    def _limit(self, volume: Volume) -> None:
        """Let it hold no more than was asked for. Raises InvalidArgument where nothing does so."""
        size = size_of(volume.name, volume.options)
        if not size:
            return
        try:
            set_quota(volume.mountpoint, size)
        except NotSupported as error:
            raise InvalidArgument(
                f"create {volume.name}: quota size requested but no quota support:"
                f" {error.message.removeprefix('size: ')}",
                hint=error.hint,
            ) from error

    def fill(self, name: str, subpath: str, copy: Callable[[int], bool]) -> None:
        """Let `copy` give an empty volume, or an empty folder in it, its first content; blocking.

        A folder of the host that the volume stands for, and another file system, are filled in
        place; what a tmpfs holds would be gone before the start. What is missing, or no folder, is
        left so. Raises OSError, InvalidArgument for a subpath that leads out, and for a device that
        cannot be mounted, or a folder of the host that is not there.
        """
        volume = self.get(name)
        if volume.device is not None:
            self._fill_device(volume, volume.device, subpath, copy)
            return
        volume.check_source()
        with self._fills.setdefault(name, threading.Lock()):
            folder = _open_folder(volume.source, subpath)
            if folder is None:
                return
            try:
                if volume.source == volume.mountpoint:
                    fill(volume.mountpoint, folder, copy)
                elif not os.listdir(folder):
                    copy(folder)
            finally:
                os.close(folder)

    def _fill_device(
        self, volume: Volume, device: Device, subpath: str, copy: Callable[[int], bool]
    ) -> None:
        def work() -> None:
            if device.fstype == "tmpfs":
                return
            folder = _open_folder(volume.mountpoint, subpath)
            if folder is not None:
                try:
                    if not os.listdir(folder):
                        copy(folder)
                finally:
                    os.close(folder)

        with self._fills.setdefault(volume.name, threading.Lock()):
            mounted_apart(device, volume.mountpoint, work)

    def acquire(self, name: str, container_id: str) -> Volume:
        """Note that a container uses the volume, which protects it. Raises NotFound."""
        volume = self.get(name)
        self._users.setdefault(name, set()).add(container_id)
        return volume

    def release(self, container_id: str) -> None:
        """The container uses no volume any more."""
        for name in [name for name, users in self._users.items() if container_id in users]:
            self._users[name].discard(container_id)
            if not self._users[name]:
                del self._users[name]

    def users(self, name: str) -> Sequence[str]:
        """The IDs of the containers that use the volume, sorted."""
        return sorted(self._users.get(name, ()))

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Delete the volume and its content.

        Raises NotFound (not with `force`), and Conflict while a container uses it.
        """
        if name not in self._volumes:
            self._check_known(name)
            if force:
                return
            raise NotFound(f"get {name}: no such volume")
        self._state.check_writable()
        users = self.users(name)
        if users:
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        volume = self._volumes.pop(name)
        doomed = self._aside(name)
        try:
            os.rename(self._root / name, doomed)
        except FileNotFoundError:
            _log.warning('volume "%s": its folder was gone already', name)
        except OSError:
            self._volumes[name] = volume
            raise
        self._state.delete(VOLUME.name, name)
        self._fills.pop(name, None)
        self._events.publish("volume", "destroy", name, {"driver": volume.driver})
        await asyncio.to_thread(_delete_volume, doomed)

    def _aside(self, name: str) -> Path:
        """A folder that the next `open` removes, whatever is in it."""
        return self._root / f"{_REMOVING}{name}.{secrets.token_hex(4)}"

    async def prune(self, selects: Callable[[Volume], bool]) -> tuple[Sequence[str], int]:
        """Delete the unused volumes that `selects` takes; their names, and the bytes they held."""
        deleted: builtins.list[str] = []
        reclaimed = 0
        for volume in self.list():
            if volume.options or self.users(volume.name) or not selects(volume):
                continue
            size = await asyncio.to_thread(disk_usage, volume.mountpoint)
            if volume.name not in self._volumes or self.users(volume.name):
                continue
            await self.remove(volume.name)
            deleted.append(volume.name)
            reclaimed += size
        self._events.publish("volume", "prune", "", {"reclaimed": str(reclaimed)})
        return deleted, reclaimed


def _make_folder(path: Path) -> None:
    """A new one is root's, and open to all in the containers that mount it, whatever the umask."""
    make_folder(path.parent, 0o700)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    path.chmod(0o755)


def _open_folder(root: Path, subpath: str) -> int | None:
    try:
        return open_subpath(root, subpath, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        number = error.errno or 0
        raise InvalidArgument(subpath_failure(os.fspath(root), subpath, number)) from error


def _check_name(name: str) -> None:
    if len(name) > _LONGEST_NAME:
        raise InvalidArgument(f"create {name[:32]}...: longer than {_LONGEST_NAME} characters")
    if len(name) == 1:
        raise InvalidArgument(
            f"create {name}: volume name is too short, names should be at least two alphanumeric"
            " characters"
        )
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only'
            ' "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory,'
            " use absolute path"
        )


def _delete_volume(path: Path) -> None:
    clear_quota(path / "_data")
    _delete_tree(path)


def _delete_tree(path: Path) -> None:
    def failed(function: object, name: str, error: tuple[object, BaseException, object]) -> None:
        if not isinstance(error[1], FileNotFoundError):
            _log.warning("volume: cannot be deleted: %s: %s", name, error[1])

    shutil.rmtree(path, onerror=failed)


def _found(folder: Path) -> tuple[Volume, Document]:
    """As it is described beside its content; one without a description has its name alone.

    Returns its record, too. Raises NewerRecord.
    """
    try:
        document = json.loads((folder / _DESCRIPTION).read_bytes())
        document.pop(_KIND_FIELD, None)
        volume, _ = VOLUME.read(folder.name, document)
    except NewerRecord:
        raise
    except (OSError, *MALFORMED):
        created_ns = folder.stat().st_mtime_ns
        volume = Volume(folder.name, folder / "_data", created_ns)
        return volume, VOLUME.written(volume)
    return replace(volume, mountpoint=folder / "_data"), document


def _to_document(volume: Volume) -> Document:
    return {
        "created_ns": volume.created_ns,
        "labels": dict(volume.labels),
        "options": dict(volume.options),
    }


def _from_document(name: str, document: Document) -> Volume:
    """Where it is, the caller knows."""
    return Volume(
        name=name,
        mountpoint=Path(name),
        created_ns=document["created_ns"],
        labels=document["labels"],
        options=document["options"],
    )


VOLUME = Kind("volume", parse=_from_document, dump=_to_document)
