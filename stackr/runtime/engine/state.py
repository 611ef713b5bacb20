"""The engine's records: JSON documents by kind and ID, in SQLite and in a copy beside it.

Each store keeps its own objects in memory and writes through; a crash leaves the last committed
transaction, which the next start reads back. What is damaged in the database is taken from the
copy (`recovery.py`). A disk that is full or read-only does not keep anybody from going on with what
there is: changes stay in memory until they can be written, and this is told. On a full disk they
find room in a `Reserve` first.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from stackr.errors import Internal, StackrError
from stackr.runtime.engine.database import (
    Contents,
    Database,
    DatabaseError,
    is_damage,
    is_in_use,
    read_only_contents,
)
from stackr.runtime.engine.disk import is_read_only
from stackr.runtime.engine.journal import Changes, Journal, Key
from stackr.runtime.engine.records import Document, Kind, NewerRecord, Surplus
from stackr.runtime.engine.recovery import Recovered, recover
from stackr.runtime.engine.reserve import RESERVE, Reserve
from stackr.runtime.engine.roots import make_way

__all__ = ["MALFORMED", "Document", "State"]

T = TypeVar("T")

_log = logging.getLogger(__name__)
_RETRY_S = 5.0
_DAMAGED_SUFFIX = ".damaged"
_BESIDE = ("", "-wal", "-shm")
_JOURNAL = "state.journal"
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, StackrError)


class State:
    """Documents by (kind, id); every method is safe to call from any thread.

    notes: what was found to be damaged at the start, a line each.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reserve = Reserve(path)
        self._journal = Journal(path.with_name(_JOURNAL))
        self._database: Database | None = None
        self._sequence = 0
        self._unwritten: dict[Key, str | None] = {}
        self._batch: dict[Key, str | None] | None = None
        self._lock = threading.RLock()
        self._retry: threading.Timer | None = None
        self._trouble = ""
        self._surplus: dict[Key, Surplus] = {}
        self._newer: dict[Key, NewerRecord] = {}
        self.notes: list[str] = []

    @classmethod
    def open(cls, path: Path) -> State:
        """Open or create the records at `path`, whose folder must exist.

        Raises Internal where they are of a newer version, or another process has them.
        """
        state = cls(path)
        state._open()
        return state

    # --- documents -----------------------------------------------------------------------------

    def check_room(self) -> None:
        """Before something new is made: raises Internal where the disk is full or read-only."""
        self.check_writable("nothing new is made")
        with self._lock:
            self._reserve.check_room()

    def check_writable(self, otherwise: str = "nothing is removed") -> None:
        """Raises Internal where the disk is read-only or gone; otherwise: what follows."""
        folder = self._path.parent
        try:
            refuses = is_read_only(folder)
        except OSError as error:
            raise Internal(f"{folder}: {error.strerror}") from error
        if refuses:
            raise Internal(f"{folder}: Read-only file system: {otherwise} until it is writable")

    def note(self, text: str) -> None:
        """Tell what a user should know of, in the log and for as long as the engine runs."""
        if text not in self.notes:
            _log.warning("%s", text)
            self.notes.append(text)

    @property
    def warnings(self) -> list[str]:
        """What a user should know of: damage that was found, and changes in memory alone."""
        trouble = self._trouble
        return [*self.notes, *([trouble] if trouble else [])]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside take effect together, or none where an exception leaves the block."""
        with self._lock:
            if self._batch is not None:
                yield
                return
            self._batch = {}
            try:
                yield
                changes = self._batch
            finally:
                self._batch = None
            if changes:
                self._commit(changes)

    def save(self, kind: Kind[T], id: str, value: T) -> Document:
        """Write a record, with what an engine that knows more has put there; as it is stored then.

        Raises NewerRecord where one of a newer version is there.
        """
        document = kind.written(value, self._surplus.get((kind.name, id)))
        self.put(kind.name, id, document)
        return document

    def put(self, kind: str, id: str, body: Mapping[str, Any]) -> None:
        """Write a document as it is. Raises NewerRecord."""
        self.check_known(kind, id)
        self._change((kind, id), json.dumps(body, separators=(",", ":")))

    def delete(self, kind: str, id: str) -> None:
        """Raises NewerRecord."""
        self.check_known(kind, id)
        self._surplus.pop((kind, id), None)
        self._change((kind, id), None)

    def check_known(self, kind: str, id: str) -> None:
        """Raises NewerRecord for a record that was found to be of a newer version."""
        newer = self._newer.get((kind, id))
        if newer is not None:
            raise newer

    def get(self, kind: str, id: str) -> Document | None:
        with self._lock:
            body = self._body((kind, id))
        return json.loads(body) if body is not None else None

    def all(self, kind: str) -> dict[str, Document]:
        """Every document of a kind, by ID, in the order of the IDs."""
        with self._lock:
            with _read_errors():
                bodies = self._database.all(kind) if self._database is not None else {}
            for changes in (self._unwritten, self._batch or {}):
                for (of_kind, id), body in changes.items():
                    if of_kind == kind and body is None:
                        bodies.pop(id, None)
                    elif of_kind == kind and body is not None:
                        bodies[id] = body
        return {id: json.loads(bodies[id]) for id in sorted(bodies)}

    def read(self, kind: Kind[T], *, strict: bool = False) -> dict[str, T]:
        """Every record of a kind as an object, by ID.

        One that is malformed is left out, and one of a newer version left alone; both are told.
        strict: others stand on these, which cannot be kept without them: raises NewerRecord.
        """
        found: dict[str, T] = {}
        for id, document in self.all(kind.name).items():
            try:
                found[id], surplus = kind.read(id, document)
            except NewerRecord as error:
                if strict:
                    raise
                self._newer[kind.name, id] = error
                self.note(error.message)
            except MALFORMED as error:
                reason = " ".join(str(error).split())[:200]
                self.note(f"{kind.name} {id}: its record is damaged and left out: {reason}")
            else:
                if surplus:
                    self._surplus[kind.name, id] = surplus
        return found

    def newer(self, kind: Kind[T]) -> dict[str, NewerRecord]:
        """What `read` has left alone, by ID."""
        return {id: error for (of, id), error in self._newer.items() if of == kind.name}

    def glimpsed(self, kind: Kind[T]) -> dict[str, T]:
        """Of what `read` has left alone, what this version's eyes see, for those that see any."""
        found = {}
        for id in self.newer(kind):
            with suppress(*MALFORMED):
                found[id] = kind.parse(id, self.get(kind.name, id) or {})
        return found

    def restore(self, documents: Mapping[Key, str]) -> list[Key]:
        """Put back documents that are missing; returns which."""
        with self.transaction():
            missing = {key: body for key, body in documents.items() if self._body(key) is None}
            for key, body in missing.items():
                self._change(key, body)
        return list(missing)

    def documents(self, keys: list[Key]) -> dict[Key, str]:
        """The bodies of those that are there."""
        with self._lock:
            found = {key: self._body(key) for key in keys}
        return {key: body for key, body in found.items() if body is not None}

    def close(self) -> None:
        with self._lock:
            if self._retry is not None:
                self._retry.cancel()
            self.flush()
            if self._database is not None:
                with suppress(DatabaseError):
                    self._database.close()
            self._journal.close()
            self._reserve.keep()

    def flush(self) -> None:
        """Write what has stayed in memory, if that is possible by now."""
        with self._lock:
            if self._unwritten:
                self._commit({})

    # --- writing -------------------------------------------------------------------------------

    def _body(self, key: Key) -> str | None:
        for changes in (self._batch or {}, self._unwritten):
            if key in changes:
                return changes[key]
        if self._database is None:
            return None
        with _read_errors():
            return self._database.get(*key)

    def _change(self, key: Key, body: str | None) -> None:
        with self._lock:
            if self._batch is not None:
                self._batch.pop(key, None)
                self._batch[key] = body
            else:
                self._commit({key: body})

    def _commit(self, changes: Changes) -> None:
        """To the database, then to the copy; in memory where the first refuses."""
        first, self._sequence = self._sequence + 1, self._sequence + len(changes)
        self._unwritten |= changes
        try:
            self._write()
        except (DatabaseError, OSError, StackrError) as error:
            self._fail(f"{self._path}: cannot be written: {error}: changes stay in memory")
        else:
            self._unwritten = {}
            self._mend()
        self._copy(changes, first)

    def _write(self) -> None:
        """What is not written yet; with all the rest, where the database turns out damaged."""
        try:
            self._opened().write(self._unwritten, self._sequence)
        except DatabaseError as error:
            if self._database is None or not self._is_damage(error):
                raise
            stored = self._database.contents()
            if stored.is_partial:
                raise  # the next start knows better
            self._unwritten = {**stored.documents, **self._unwritten}
            self._set_aside()
            self._opened().write(self._unwritten, self._sequence)

    def _is_damage(self, error: DatabaseError) -> bool:
        return is_damage(error) and not is_read_only(self._path.parent)

    def _opened(self) -> Database:
        """The database, made anew where it turns out to be damaged as the disk gets writable."""
        if self._database is None:
            try:
                self._database = Database.open(self._path)
            except DatabaseError as error:
                if not self._is_damage(error):
                    raise
                self._set_aside()
                self._database = Database.open(self._path)
        return self._database

    def _copy(self, changes: Changes, first: int) -> None:
        try:
            if self._journal.is_open and not self._journal.is_long:
                self._journal.append(changes, first)
            else:
                self._journal.rewrite(self._everything(), self._sequence)
        except (OSError, DatabaseError) as error:
            _log.debug("the records' copy: cannot be written: %s", error)

    def _everything(self) -> dict[Key, str]:
        stored = self._database.contents().documents if self._database is not None else {}
        merged = {**stored, **self._unwritten}
        return {key: body for key, body in merged.items() if body is not None}

    def _fail(self, trouble: str) -> None:
        if not self._trouble:
            _log.warning("%s", trouble)
        self._trouble = trouble
        if self._retry is None:
            self._retry = threading.Timer(_RETRY_S, self._try_again)
            self._retry.daemon = True
            self._retry.start()

    def _try_again(self) -> None:
        with self._lock:
            self._retry = None
            self.flush()

    def _mend(self) -> None:
        if self._trouble:
            _log.warning("%s: is written again", self._path)
            self._trouble = ""

    # --- the start -----------------------------------------------------------------------------

    def _open(self) -> None:
        self._make_way()
        with suppress(OSError):
            self._reserve.release()
        contents, trouble = self._read()
        replay = self._journal.read()
        found = recover(contents, replay)
        self._sequence = found.sequence
        for note in found.notes:
            self.note(f"records: {note}")
        if trouble:
            self._unwritten = dict(found.documents)
            self._fail(f"{self._path}: cannot be written: {trouble}: changes stay in memory")
            return
        self._write_back(contents, found)
        if replay.is_whole and replay.sequence == self._sequence and not found.notes:
            with suppress(OSError):
                self._journal.resume()
        else:
            self._copy({}, self._sequence)
        self._reserve.take()

    def _make_way(self) -> None:
        names = [self._path.name + suffix for suffix in _BESIDE]
        for name in (*names, _JOURNAL, RESERVE):
            with suppress(OSError):  # a disk that is read-only
                make_way(self._path.with_name(name))

    def _read(self) -> tuple[Contents | None, str]:
        """What the database says, and why it cannot be written, if so; it is open otherwise."""
        try:
            self._database = Database.open(self._path)
            return self._database.contents(), ""
        except DatabaseError as error:
            if is_in_use(error):
                raise Internal(f'state "{self._path}": another process has it open') from error
            if not self._is_damage(error):
                return self._read_only(), str(error)
            return None, ""

    def _read_only(self) -> Contents | None:
        try:
            return read_only_contents(self._path)
        except DatabaseError:
            return None

    def _write_back(self, contents: Contents | None, found: Recovered) -> None:
        """Bring the database in line with what was found."""
        stored = contents.documents if contents is not None else {}
        if not found.is_sound:
            self._set_aside()
            stored = {}
        changes: dict[Key, str | None] = dict.fromkeys(stored.keys() - found.documents.keys())
        changes |= {k: body for k, body in found.documents.items() if stored.get(k) != body}
        if changes or self._database is None:
            self._unwritten = changes
            self._commit({})

    def _set_aside(self) -> None:
        """Keep the damaged files for whoever wants to look at them, in the place of older ones."""
        if self._database is not None:
            with suppress(DatabaseError):
                self._database.close()
            self._database = None
        for suffix in _BESIDE:
            file = self._path.with_name(self._path.name + suffix)
            with suppress(FileNotFoundError):
                file.replace(file.with_name(file.name + _DAMAGED_SUFFIX))


@contextmanager
def _read_errors() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise Internal(f"state: cannot be read: {error}") from error
