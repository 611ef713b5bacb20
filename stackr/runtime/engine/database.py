"""The engine's records in SQLite (WAL), one writer: the only file that speaks SQL.

Commits are not fsynced one by one (`synchronous=NORMAL`): after a power failure the newest may be
missing, never half there. Nobody else opens the database meanwhile, so that it needs no shared
index, which is a file too. The number of changes that it has seen is kept beside the documents, by
triggers, so that an older version of the engine counts as well.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stackr.errors import Internal
from stackr.runtime.engine.journal import Changes, Key
from stackr.runtime.engine.reserve import RESERVED_BYTES

__all__ = ["Contents", "Database", "DatabaseError", "is_damage", "is_in_use", "read_only_contents"]

DatabaseError = sqlite3.Error

_SCHEMA_VERSION = 2  # 1 had records without versions, which are as those of version 1
_MOST_VERSION = 100  # a greater one is no version
_LOG_PAGES = RESERVED_BYTES // 4096 * 3 // 4  # a commit may write some more
_DAMAGE = frozenset((0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_COUNT = "BEGIN UPDATE sequence SET value = value + 1; END"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS document (
    kind TEXT NOT NULL,
    id   TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequence (value INTEGER NOT NULL);
INSERT INTO sequence SELECT 0 WHERE NOT EXISTS (SELECT * FROM sequence);
CREATE TRIGGER IF NOT EXISTS count_insert AFTER INSERT ON document {_COUNT};
CREATE TRIGGER IF NOT EXISTS count_update AFTER UPDATE ON document {_COUNT};
CREATE TRIGGER IF NOT EXISTS count_delete AFTER DELETE ON document {_COUNT};
"""
_PUT = (
    "INSERT INTO document (kind, id, body) VALUES (?, ?, ?)"
    " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body"
)


class Contents:
    """What a database holds. is_partial: it is damaged, and some may be missing."""

    def __init__(self, documents: dict[Key, str] | None = None, sequence: int = 0) -> None:
        self.documents = documents or {}
        self.sequence = sequence
        self.is_partial = False


def is_in_use(error: sqlite3.Error) -> bool:
    """Whether another process has the database open."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether it says that the file is damaged, and not, say, that the disk is full."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGE or code == sqlite3.SQLITE_IOERR_SHORT_READ


class Database:
    """Methods raise DatabaseError."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open or create; the folder must exist. Raises Internal for one of a newer version."""
        with _translated():
            connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            return cls._opened(connection, path)

    @classmethod
    def _opened(cls, connection: sqlite3.Connection, path: Path) -> Database:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
            connection.execute("PRAGMA synchronous=NORMAL")
            version = _check_version(connection, path)
            if version < _SCHEMA_VERSION or not _has_schema(connection):
                connection.executescript(_SCHEMA)
                connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    def contents(self) -> Contents:
        found = _contents(self._connection)
        found.is_partial |= not self._is_sound()
        return found

    def _is_sound(self) -> bool:
        try:
            return self._connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
        except (sqlite3.Error, UnicodeDecodeError):
            return False

    def get(self, kind: str, id: str) -> str | None:
        query = "SELECT body FROM document WHERE kind = ? AND id = ?"
        with _translated():
            found = self._connection.execute(query, (kind, id)).fetchone()
        return found[0] if found else None

    def all(self, kind: str) -> dict[str, str]:
        query = "SELECT id, body FROM document WHERE kind = ?"
        with _translated():
            return dict(self._connection.execute(query, (kind,)).fetchall())

    def write(self, changes: Changes, sequence: int) -> None:
        """All of them, or none. sequence: the number of the last change of all."""
        with _translated():
            self._write(changes, sequence)

    def _write(self, changes: Changes, sequence: int) -> None:
        run = self._connection.execute
        try:
            run("BEGIN IMMEDIATE")
            for (kind, id), body in changes.items():
                if body is None:
                    run("DELETE FROM document WHERE kind = ? AND id = ?", (kind, id))
                else:
                    run(_PUT, (kind, id, body))
            run("UPDATE sequence SET value = ?", (sequence,))
            run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                run("ROLLBACK")
            raise

    def close(self) -> None:
        self._connection.close()


def read_only_contents(path: Path) -> Contents:
    """Without a change to the disk, and so without what is in the log alone."""
    with _translated():
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)
        try:
            _check_version(connection, path)
            return _contents(connection)
        finally:
            connection.close()


@contextmanager
def _translated() -> Iterator[None]:
    """The module's own errors may quote a damaged file, which then is no text."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DatabaseError("malformed database") from error


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in range(_MOST_VERSION):
        raise DatabaseError(f"malformed database: version {version}")
    if version > _SCHEMA_VERSION:
        raise Internal(
            f'state "{path}": version {version} is newer than this stackr understands',
            hint="start the engine with the stackr that wrote it, or a newer one",
        )
    return int(version)


def _has_schema(connection: sqlite3.Connection) -> bool:
    query = "SELECT count(*) FROM sqlite_schema WHERE name IN ('document', 'sequence')"
    (found,) = connection.execute(query).fetchone()
    return bool(found == 2)


def _contents(connection: sqlite3.Connection) -> Contents:
    """As much as can be read, from either end of the table."""
    found = Contents()
    connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")
    for order in ("ASC", "DESC"):
        query = f"SELECT kind, id, body FROM document ORDER BY kind {order}, id {order}"
        try:
            for kind, id, body in connection.execute(query):
                found.documents.setdefault((kind, id), body)
            break
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if "no such table" in str(error):
                break
            found.is_partial = True
    try:
        (value,) = connection.execute("SELECT max(value) FROM sequence").fetchone()
        found.sequence = int(value or 0)
    except (sqlite3.Error, UnicodeDecodeError):
        found.sequence = 0  # of an older version, or damaged
    connection.text_factory = str
    return found
