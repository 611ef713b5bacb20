"""The engine's records survive damage to their files, and disks that cannot be written."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from stackr.errors import Internal
from stackr.runtime.engine.database import Database
from stackr.runtime.engine.journal import Journal
from stackr.runtime.engine.records import Kind
from stackr.runtime.engine.state import State

DOCUMENTS = {f"id{number}": {"value": f"{number}" * 100} for number in range(20)}


def fill(folder: Path) -> State:
    state = State.open(folder / "state.db")
    state.put("kind", "gone", {})
    for id, body in DOCUMENTS.items():
        state.put("kind", id, {"value": "old"})
        state.put("kind", id, body)
    state.delete("kind", "gone")
    return state


def crashed(folder: Path, *, clean: bool) -> None:
    """Leave the files as a stop does, or as SIGKILL does: in a child, whose memory is lost."""
    if clean:
        fill(folder).close()
        return
    if not (child := os.fork()):
        fill(folder)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    """A file that is not there has been written to the database already."""
    if path.exists():
        path.write_bytes(change(path.read_bytes()))


def _halved(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flipped(count: int, start: int = 0) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        changed, dice = bytearray(data), random.Random(count)
        for _ in range(count):
            changed[dice.randrange(start, len(changed))] ^= dice.randrange(1, 256)
        return bytes(changed)

    return flip


DATABASE, LOG, COPY = "state.db", "state.db-wal", "state.journal"
CHANGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "nothing": (DATABASE, lambda data: data),
    "database empty": (DATABASE, lambda _: b""),
    "database's header": (DATABASE, lambda data: b"garbage!" * 100 + data[800:]),
    "bytes of the database": (DATABASE, _flipped(200, 100)),
    "one byte of the database": (DATABASE, _flipped(1, 3000)),
    "database cut": (DATABASE, lambda data: data[:5000]),
    "log halved": (LOG, _halved),
    "bytes of the log": (LOG, _flipped(200, 32)),
    "copy empty": (COPY, lambda _: b""),
    "copy halved": (COPY, _halved),
    "bytes of the copy": (COPY, _flipped(200)),
}
REMOVED = ((DATABASE,), (LOG,), (DATABASE, LOG), (COPY,))


def _damaged(folder: Path, name: str) -> None:
    if name in CHANGES:
        file, change = CHANGES[name]
        _rewrite(folder / file, change)
    for removed in name.split() if name not in CHANGES else ():
        (folder / removed).unlink(missing_ok=True)


@pytest.mark.parametrize("clean", [True, False], ids=["stopped", "killed"])
@pytest.mark.parametrize("name", [*CHANGES, *map(" ".join, REMOVED)])
def test_damage_costs_no_record(tmp_path: Path, name: str, clean: bool) -> None:
    crashed(tmp_path, clean=clean)
    _damaged(tmp_path, name)
    for _ in range(2):  # what was mended is sound the next time
        state = State.open(tmp_path / "state.db")
        assert state.all("kind") == DOCUMENTS
        state.put("kind", "id0", DOCUMENTS["id0"])
        state.close()
    assert not State.open(tmp_path / "state.db").notes


@pytest.mark.parametrize("name", [DATABASE, LOG, COPY, "reserve"])
def test_a_folder_in_a_files_place_costs_no_record(tmp_path: Path, name: str) -> None:
    crashed(tmp_path, clean=True)
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name / "lost").mkdir(parents=True)
    state = State.open(tmp_path / "state.db")
    assert state.all("kind") == DOCUMENTS
    assert not any("memory" in warning for warning in state.warnings)
    state.put("kind", "new", {})
    state.close()
    assert all((tmp_path / file).is_file() for file in (DATABASE, COPY, "reserve"))
    (tmp_path / COPY).unlink()
    state = State.open(tmp_path / "state.db")
    assert state.all("kind") == {**DOCUMENTS, "new": {}}
    state.close()


def test_a_damaged_record_costs_that_record_alone(tmp_path: Path) -> None:
    crashed(tmp_path, clean=True)
    (tmp_path / "state.journal").unlink()
    connection = sqlite3.connect(tmp_path / "state.db")
    with connection:
        connection.execute("UPDATE document SET body = '{' WHERE id = 'id3'")
    connection.close()
    state = State.open(tmp_path / "state.db")
    assert state.all("kind") == {id: body for id, body in DOCUMENTS.items() if id != "id3"}
    assert [note for note in state.notes if "kind id3: damaged" in note]
    state.put("kind", "id4", {"value": 4})
    kind = Kind("kind", parse=lambda _, document: document["value"] + "", dump=lambda _: {})
    parsed = state.read(kind)
    assert parsed.keys() == DOCUMENTS.keys() - {"id3", "id4"}
    assert "kind id4: its record is damaged and left out" in state.notes[-1]
    state.close()


def test_an_older_engine_has_changed_the_records_meanwhile(tmp_path: Path) -> None:
    """It knows no copy, which then is not taken for newer."""
    crashed(tmp_path, clean=True)
    connection = sqlite3.connect(tmp_path / "state.db")
    with connection:
        connection.execute("UPDATE document SET body = '{}' WHERE id = 'id3'")
    connection.close()
    state = State.open(tmp_path / "state.db")
    assert state.get("kind", "id3") == {}
    assert not state.notes
    state.close()


def test_the_copy_is_written_anew_as_it_grows(tmp_path: Path) -> None:
    state = fill(tmp_path)
    for number in range(3000):
        state.put("kind", "id0", {"value": "x" * 1000 + str(number)})
    assert (tmp_path / "state.journal").stat().st_size < 2 << 20
    state.close()
    (tmp_path / DATABASE).unlink()
    state = State.open(tmp_path / "state.db")
    assert state.all("kind").keys() == DOCUMENTS.keys()
    state.close()


def test_a_data_root_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    state = State.open(tmp_path / "data" / DATABASE)
    shutil.rmtree(tmp_path / "data")
    for check in (state.check_room, state.check_writable):
        with pytest.raises(Internal, match="data: No such file or directory"):
            check()
    state.close()


def test_records_that_another_process_has_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed(tmp_path, clean=True)
    holder = sqlite3.connect(tmp_path / DATABASE)
    holder.execute("BEGIN EXCLUSIVE")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0}))
    with pytest.raises(Internal, match="another process has it open"):
        State.open(tmp_path / DATABASE)
    holder.close()
    monkeypatch.undo()
    state = State.open(tmp_path / DATABASE)
    assert state.all("kind") == DOCUMENTS
    assert not state.notes
    state.close()


def test_a_transaction_is_whole_or_nothing(tmp_path: Path) -> None:
    state = fill(tmp_path)
    with suppress(KeyError), state.transaction():
        state.put("kind", "id0", {})
        assert state.get("kind", "id0") == {}
        state.delete("kind", "id1")
        assert "id1" not in state.all("kind")
        raise KeyError
    assert state.all("kind") == DOCUMENTS
    state.close()


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that has turned read-only; `undo` turns it back."""

    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(Database, "write", refuse)
    monkeypatch.setattr(Journal, "append", refuse)
    monkeypatch.setattr(Journal, "rewrite", refuse)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))


def test_changes_stay_in_memory_while_the_disk_is_read_only(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = fill(tmp_path)
    request.getfixturevalue("unwritable")
    state.put("kind", "id0", {"value": "new"})
    state.delete("kind", "id1")
    assert (state.get("kind", "id0"), state.get("kind", "id1")) == ({"value": "new"}, None)
    assert "id1" not in state.all("kind")
    (warning,) = state.warnings
    assert "cannot be written: attempt to write a readonly database" in warning
    for check in (state.check_room, state.check_writable):
        with pytest.raises(Internal, match="Read-only file system"):
            check()
    monkeypatch.undo()
    state.flush()
    assert state.warnings == []
    state.close()
    state = State.open(tmp_path / "state.db")
    assert state.get("kind", "id0") == {"value": "new"}
    assert len(state.all("kind")) == len(DOCUMENTS) - 1
    state.close()
