"""COPY, ADD and WORKDIR: files are packed on the host and unpacked in a container of the step.

The unpacking is that of `docker cp`: a process of its own, confined to the container's root, which
resolves the target's symlinks there. Source: moby/buildkit, solver/llbsolver/file.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from stackr.build.selection import Source
from stackr.build.steps import Copy, Folder
from stackr.build.tree import Tree
from stackr.errors import InvalidArgument
from stackr.runtime.engine.archive.decompress import Source as ArchiveSource
from stackr.runtime.engine.archive.decompress import decompressed
from stackr.runtime.engine.archive.tarstream import ArchiveError
from stackr.runtime.engine.build.files import Found, content_of, read_found
from stackr.runtime.engine.build.layers import LayerMaker
from stackr.runtime.engine.build.packing import (
    Item,
    Mode,
    archive_of,
    parents_missing,
    parse_mode,
)
from stackr.runtime.engine.build.step_container import StepContainers
from stackr.runtime.engine.container.oci.user import resolve_user
from stackr.runtime.engine.snapshot.lookup import LayerStack
from stackr.runtime.engine.snapshot.overlay import Layer, Overlay

__all__ = ["Copier", "FileSource", "Part"]

_FOLDER: Final = stat.S_IFDIR | 0o755
_FILE: Final = stat.S_IFREG | 0o644
_HEAD: Final = 1 << 20
_TAR_MAGIC: Final = slice(257, 262)
_MAGICS: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True)
class FileSource:
    """Where a step's files are. find: a path in the tree -> its file on the host.

    unpacks: whether ADD unpacks archives among them: not those that it has fetched.
    """

    tree: Tree
    find: Callable[[str], Found | None]
    unpacks: bool = True


Part = tuple[Source, FileSource]
"""One source of a step, and where its files are."""


class Copier:
    """Executes the steps that only copy."""

    def __init__(self, snapshots: Overlay, containers: StepContainers, maker: LayerMaker) -> None:
        self._snapshots = snapshots
        self._containers = containers
        self._maker = maker

    async def copy(
        self,
        step: Copy,
        parts: Sequence[Part],
        layers: Sequence[str],
        *,
        epoch_ns: int | None,
    ) -> Layer | None:
        """Raises InvalidArgument for what does not fit, Internal for a full disk."""
        view = self._snapshots.image_view(layers)
        plan = await asyncio.to_thread(_Plan.of, step, parts, view, epoch_ns)
        user = {"User": "{}:{}".format(*plan.owner)} if plan.owner else {}
        async with self._containers.container(layers, user, {}) as id:
            await self._extract(id, "/", _pieces(archive_of(plan.items)))
            for archive in plan.archives:
                await self._unpack(id, plan.folder, archive, as_user=bool(user))
            return await self._maker.take(id, layers, epoch_ns=epoch_ns)

    async def folder(
        self, step: Folder, layers: Sequence[str], *, epoch_ns: int | None
    ) -> Layer | None:
        """Make a folder, and those above it, where it is missing."""
        view = self._snapshots.image_view(layers)
        missing = parents_missing(step.path, lambda path: _is_folder(view, path))
        if not missing:
            return None
        if (found := view.stat(missing[0])) is not None and not stat.S_ISDIR(found.st_mode):
            raise InvalidArgument(f"WORKDIR {step.path}: {missing[0]} is not a directory")
        owner = _owner(step.user, view) if step.user else (0, 0)
        now = _now(epoch_ns)
        items = [Item(path.lstrip("/"), Found(_FOLDER, now, owner=owner)) for path in missing]
        async with self._containers.container(layers, {}, {}) as id:
            await self._extract(id, "/", _pieces(archive_of(items)))
            return await self._maker.take(id, layers, epoch_ns=epoch_ns)

    async def _extract(self, id: str, path: str, archive: AsyncIterator[bytes]) -> None:
        await self._containers.containers.extract(id, path, archive, as_user=False, keep_kinds=True)

    async def _unpack(self, id: str, path: str, archive: Found, *, as_user: bool) -> None:
        """An archive that ADD unpacks: as it is, so that what is in its way is replaced."""
        await self._containers.containers.extract(
            id, path, _pieces(content_of(archive)), as_user=as_user, keep_kinds=False
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """items: what is written; archives: what ADD unpacks into `folder`."""

    items: list[Item]
    archives: list[Found]
    folder: str
    owner: tuple[int, int] | None

    @classmethod
    def of(
        cls,
        step: Copy,
        parts: Sequence[Part],
        view: LayerStack,
        epoch_ns: int | None,
    ) -> _Plan:
        owner = _owner(step.owner, view) if step.owner else None
        layout = _Layout(step, view, owner, parse_mode(step.mode), _now(epoch_ns))
        return cls(*layout.run(parts), owner)


class _Layout:
    """What goes where."""

    def __init__(
        self,
        step: Copy,
        view: LayerStack,
        owner: tuple[int, int] | None,
        mode: Mode | None,
        now_ns: int,
    ) -> None:
        self._step = step
        self._view = view
        self._owner = owner
        self._mode = mode
        self._now_ns = now_ns

    def run(self, parts: Sequence[Part]) -> tuple[list[Item], list[Found], str]:
        step = self._step
        target = step.target.rstrip("/") or "/"
        archives = [self._archive(source, files) for source, files in parts]
        is_folder = (
            step.target.endswith("/")
            or step.parents
            or any(source.is_folder for source, _ in parts)
            or any(archives)
            or _is_folder(self._view, target)
        )
        folder = target if is_folder else posixpath.dirname(target)
        items = [self._parent(path) for path in self._missing(folder)]
        for number, (source, files) in enumerate(parts):
            if archives[number] is None:
                items += self._source(number, source, files, target, is_folder)
        for document in step.heredocs:
            name = posixpath.join(target, document.name) if is_folder else target
            data = document.content.encode("utf-8", "surrogateescape")
            items.append(self._finished(name, Found(_FILE, self._now_ns), data))
        return items, [each for each in archives if each], folder

    def _missing(self, folder: str) -> list[str]:
        missing = parents_missing(folder, lambda path: _is_folder(self._view, path))
        if missing and (found := self._view.stat(missing[0])) is not None:
            assert not stat.S_ISDIR(found.st_mode)
            raise InvalidArgument(f"cannot copy to non-directory: {missing[0]}")
        return missing

    def _parent(self, path: str) -> Item:
        owner = self._owner or (0, 0)
        return Item(path.lstrip("/"), Found(_FOLDER, self._now_ns, owner=owner))

    def _archive(self, source: Source, files: FileSource) -> Found | None:
        """The file on the host, where ADD unpacks it."""
        if not self._step.is_add or source.is_folder or not files.unpacks:
            return None
        found = files.find(source.path)
        if found is None or not stat.S_ISREG(found.mode):
            return None
        return found if is_archive(found) else None

    def _source(
        self, number: int, source: Source, files: FileSource, target: str, is_folder: bool
    ) -> Iterator[Item]:
        """Hard links are kept within a folder that is copied, as both of Docker's builders do."""
        for path, name in source.parents:
            yield self._item(files, path, posixpath.join(target, name))
        if not source.is_folder:
            name = posixpath.join(target, source.name) if is_folder else target
            yield self._item(files, source.path, name)
            return
        base = posixpath.join(target, source.name)
        for below in source.below:
            path = f"{source.path}/{below}" if source.path else below
            item = self._item(files, path, posixpath.join(base, below))
            inode = item.found.inode
            yield item if inode is None else replace(item, inode=(number, *inode))

    def _item(self, files: FileSource, path: str, name: str) -> Item:
        found = files.find(path)
        if found is None:
            raise InvalidArgument(f"{path}: vanished while it was copied")
        return self._finished(name, found)

    def _finished(self, name: str, found: Found, data: bytes = b"") -> Item:
        """With what the flags say of owner and permissions."""
        mode = found.mode
        if self._mode is not None and not stat.S_ISLNK(mode):
            mode = stat.S_IFMT(mode) | self._mode(mode)
        owner = self._owner or found.owner
        return Item(name.lstrip("/"), replace(found, mode=mode, owner=owner), data)


def _is_folder(view: LayerStack, path: str) -> bool:
    found = view.stat(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def _owner(text: str, view: LayerStack) -> tuple[int, int]:
    """`user[:group]`, by name or number; a user without a group has the group of the same number
    as Docker has it, or its own by the image's files.
    """
    passwd, group = (view.read(f"/etc/{name}") or b"" for name in ("passwd", "group"))
    user = resolve_user(
        text, passwd=passwd.decode(errors="replace"), group=group.decode(errors="replace")
    )
    name, colon, _ = text.partition(":")
    if name.isdigit() and not colon:
        return user.uid, user.uid
    return user.uid, user.gid


def _now(epoch_ns: int | None) -> int:
    return time.time_ns() if epoch_ns is None else epoch_ns


def is_archive(found: Found) -> bool:
    """Whether a file is a tar archive, compressed or not. Blocking."""
    head = read_found(found, _HEAD)
    if head[_TAR_MAGIC] == b"ustar":
        return True
    if not head.startswith(_MAGICS):
        return False
    fd = os.memfd_create("head")
    try:
        os.write(fd, head)
        os.lseek(fd, 0, os.SEEK_SET)
        return _first_block(fd)[_TAR_MAGIC] == b"ustar"
    finally:
        os.close(fd)


def _first_block(fd: int) -> bytes:
    first = b""
    with suppress(ArchiveError):  # it is cut off, or no archive at all
        for piece in decompressed(ArchiveSource(fd)):
            first += piece
            if len(first) >= 512:
                break
    return first


async def _pieces(source: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What a blocking iterator gives, read in a thread."""
    while (piece := await asyncio.to_thread(next, source, None)) is not None:
        yield piece
