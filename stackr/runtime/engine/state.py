"""The engine's records: JSON documents by kind and ID in SQLite (WAL), one writer.

The only file that speaks SQL. Each store keeps its own objects in memory and writes through; a
crash leaves the last committed transaction, which the next start reads back. Commits are not
fsynced one by one (`synchronous=NORMAL`): after a power failure the newest may be missing, never
half there. On a full disk, records of what exists find room in a `Reserve`; nobody else opens the
database meanwhile, so that it needs no shared index, which is a file too.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stackr.errors import Internal
from stackr.runtime.engine.reserve import RESERVED_BYTES, Reserve

__all__ = ["Document", "State"]

Document = dict[str, Any]

_SCHEMA_VERSION = 1
_LOG_PAGES = RESERVED_BYTES // 4096 * 3 // 4  # a commit may write some more
_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
    kind TEXT NOT NULL,
    id   TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
"""


class State:
    """Documents by (kind, id); every method is safe to call from any thread.

    Raises Internal where the database is damaged, full or of a newer version.
    """

    def __init__(self, connection: sqlite3.Connection, reserve: Reserve) -> None:
        self._connection = connection
        self._reserve = reserve
        self._lock = threading.RLock()
        self._depth = 0

    @classmethod
    def open(cls, path: Path) -> State:
        """Open or create the database at `path`; its folder must exist."""
        reserve = Reserve(path)
        reserve.release()
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
            connection.execute("PRAGMA synchronous=NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > _SCHEMA_VERSION:
                raise Internal(
                    f'state "{path}": version {version} is newer than this stackr understands',
                    hint="start the engine with the stackr that wrote it, or a newer one",
                )
            if version < _SCHEMA_VERSION:
                connection.executescript(_SCHEMA)
                connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
        except sqlite3.Error as error:
            connection.close()
            raise Internal(f'state "{path}": cannot be opened: {error}') from error
        except Internal:
            connection.close()
            raise
        reserve.take()
        return cls(connection, reserve)

    def check_room(self) -> None:
        """Before something new is made: raises Internal where the disk is full."""
        with self._lock:
            self._reserve.check_room()

    def close(self) -> None:
        with self._lock:
            self._connection.close()
            self._reserve.keep()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside take effect together, or none where an exception leaves the block."""
        with self._lock:
            outermost = self._depth == 0
            self._depth += 1
            try:
                if outermost:
                    self._execute("BEGIN IMMEDIATE")
                yield
            except BaseException:
                if outermost and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            else:
                if outermost:
                    self._execute("COMMIT")
            finally:
                self._depth -= 1

    def put(self, kind: str, id: str, body: Mapping[str, Any]) -> None:
        self._execute(
            "INSERT INTO document (kind, id, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (kind, id, json.dumps(body, separators=(",", ":"))),
        )

    def get(self, kind: str, id: str) -> Document | None:
        rows = self._execute("SELECT body FROM document WHERE kind = ? AND id = ?", (kind, id))
        return json.loads(rows[0][0]) if rows else None

    def delete(self, kind: str, id: str) -> None:
        self._execute("DELETE FROM document WHERE kind = ? AND id = ?", (kind, id))

    def all(self, kind: str) -> dict[str, Document]:
        """Every document of a kind, by ID, in the order of the IDs."""
        rows = self._execute("SELECT id, body FROM document WHERE kind = ? ORDER BY id", (kind,))
        return {id: json.loads(body) for id, body in rows}

    def _execute(self, sql: str, parameters: tuple[str, ...] = ()) -> list[Any]:
        with self._lock:
            try:
                return self._connection.execute(sql, parameters).fetchall()
            except sqlite3.Error as error:
                raise Internal(f"state: cannot be read or written: {error}") from error
