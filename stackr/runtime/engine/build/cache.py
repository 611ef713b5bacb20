"""What steps have made, by the key of what they did: records in the engine's state.

A record keeps its layer. One whose layer is lost is a miss. Builds hold what they have used until
they end, so that nothing is pruned from under them.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from stackr.runtime.engine.linux.tree import disk_usage, remove_tree
from stackr.runtime.engine.records import Document, Kind, known_fields
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.state import State

__all__ = ["BUILD_CACHE", "BuildCache", "CacheRecord", "Pruned"]

_MOUNT: Final = "exec.cachemount"


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """What one step made. key: see `stackr.build.cache_key`. diff_id: "" where no file changed.

    kind: `regular`, or `exec.cachemount` for what a `RUN --mount=type=cache` keeps. created: RFC
    3339, as the history has it. description: the instruction.
    """

    key: str
    diff_id: str = ""
    size_bytes: int = 0
    created: str = ""
    created_ns: int = 0
    last_used_ns: int = 0
    uses: int = 0
    description: str = ""
    parent: str = ""
    kind: str = "regular"


@dataclass(frozen=True, slots=True)
class Pruned:
    keys: tuple[str, ...]
    size_bytes: int


_Records = list[CacheRecord]  # as `BuildCache.list` takes the name in the class


class BuildCache:
    """Used on the event loop's thread. mounts: where the folders of cache mounts are."""

    def __init__(self, state: State, snapshots: Overlay, mounts: Path) -> None:
        self._state = state
        self._snapshots = snapshots
        self._mounts = mounts
        self._records: dict[str, CacheRecord] = {}
        self._held: Counter[str] = Counter()
        self._layers_held: Counter[str] = Counter()

    def open(self) -> None:
        """Read the records; those whose layers are gone go, too."""
        records = self._state.read(BUILD_CACHE)
        with self._state.transaction():
            for key, record in records.items():
                if record.diff_id and self._snapshots.layer(record.diff_id) is None:
                    self._state.delete(BUILD_CACHE.name, key)
                else:
                    self._records[key] = record

    def layers(self) -> frozenset[str]:
        """The diff IDs that are to be kept."""
        kept = {record.diff_id for record in self._records.values() if record.diff_id}
        return frozenset(kept | (+self._layers_held).keys())

    def list(self) -> _Records:
        """The least recently used first."""
        return sorted(self._records.values(), key=lambda record: (record.last_used_ns, record.key))

    def layers_size(self) -> int:
        """Bytes in the files of all layers that are remembered, each layer once."""
        sizes = {record.diff_id: record.size_bytes for record in self._records.values()}
        return sum(size for diff_id, size in sizes.items() if diff_id)

    def is_held(self, key: str) -> bool:
        return self._held[key] > 0

    @contextmanager
    def holding(self) -> Iterator[Callable[[str], None]]:
        """What the block names by its key stays until the block ends."""
        keys: list[str] = []

        def hold(key: str) -> None:
            keys.append(key)
            self._held[key] += 1

        try:
            yield hold
        finally:
            self._held.subtract(keys)

    @contextmanager
    def holding_layers(self, diff_ids: Iterable[str]) -> Iterator[None]:
        """Those layers stay until the block ends."""
        held = tuple(diff_ids)
        self._layers_held.update(held)
        try:
            yield
        finally:
            self._layers_held.subtract(held)

    def find(self, key: str) -> CacheRecord | None:
        """A record whose layer is there."""
        record = self._records.get(key)
        if record is None or not record.diff_id or self._snapshots.layer(record.diff_id):
            return record
        self._forget([key])
        return None

    def put(self, record: CacheRecord) -> None:
        self._records[record.key] = record
        self._state.save(BUILD_CACHE, record.key, record)

    def touch(self, keys: Iterable[str]) -> None:
        """Note that those have been used now."""
        now = time.time_ns()
        with self._state.transaction():
            for key in dict.fromkeys(keys):
                record = self._records.get(key)
                if record is not None:
                    self.put(replace(record, last_used_ns=now, uses=record.uses + 1))

    def mount_folder(self, id: str) -> Path:
        """Of a cache mount, which has a record from now on; the folder may have to be made."""
        name = hashlib.sha256(id.encode("utf-8", "surrogateescape")).hexdigest()
        key = f"mount-{name}"
        if key not in self._records:
            now = time.time_ns()
            description = f"cache mount {id}"
            self.put(
                CacheRecord(
                    key, created_ns=now, last_used_ns=now, description=description, kind=_MOUNT
                )
            )
        return self._mounts / name

    def mount_key(self, id: str) -> str:
        return f"mount-{hashlib.sha256(id.encode('utf-8', 'surrogateescape')).hexdigest()}"

    def size_of(self, record: CacheRecord) -> int:
        """In bytes; of a cache mount it is looked up, which walks its files."""
        if record.kind == _MOUNT:
            return disk_usage(self._mounts / record.key.removeprefix("mount-"))
        return record.size_bytes

    def choose(
        self,
        *,
        all: bool,
        keep_bytes: int,
        until_ns: int | None,
        accept: Callable[[CacheRecord], bool],
        needed: frozenset[str] = frozenset(),
    ) -> _Records:
        """What a pruning takes: the least recently used first, until no more than that is left.

        all: also what images share. needed: the layers of images. Blocking: measures cache mounts.
        """
        sizes = {record.key: self.size_of(record) for record in self.list()}
        left = sum(sizes.values())
        chosen = []
        for record in self.list():
            if keep_bytes and left <= keep_bytes:
                break
            if self._held[record.key] or not accept(record):
                continue
            if until_ns is not None and record.last_used_ns > until_ns:
                continue
            if not all and record.diff_id and record.diff_id in needed:
                continue
            chosen.append(replace(record, size_bytes=sizes[record.key]))
            left -= sizes[record.key]
        return chosen

    def remove(self, records: Iterable[CacheRecord]) -> Pruned:
        """Blocking: removes the folders of cache mounts; layers go with `release_layers`."""
        gone = [record for record in records if not self._held[record.key]]
        self._forget([record.key for record in gone])
        for record in gone:
            if record.kind == _MOUNT:
                remove_tree(self._mounts / record.key.removeprefix("mount-"))
        size = sum(record.size_bytes for record in gone)
        return Pruned(tuple(record.key for record in gone), size)

    def _forget(self, keys: Iterable[str]) -> None:
        with self._state.transaction():
            for key in keys:
                self._records.pop(key, None)
                self._state.delete(BUILD_CACHE.name, key)


def _record(key: str, document: Document) -> CacheRecord:
    return CacheRecord(key=key, **known_fields(CacheRecord, document))


def _document(record: CacheRecord) -> Document:
    return {key: value for key, value in asdict(record).items() if key != "key"}


BUILD_CACHE: Final = Kind("build_cache", parse=_record, dump=_document)
