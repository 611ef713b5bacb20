"""Containers' output in files: every line once, whatever is restarted or removed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stackr.errors import InvalidArgument, NotFound
from stackr.runtime.types import EngineEvent, LogEntry
from stackr.stack.testenv.files import claim_folder, write_whole
from stackr.stack.testenv.logs import LogCapture
from stackr.stack.testenv.redaction import Redactor

_START_NS = 1_760_000_000_000_000_000


class _Engine:
    """One container, `c1`, which has written `lines`: (nanoseconds since the start, text)."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.is_removed = False
        self.follower_sees = 1000

    async def logs(
        self, ref: str, *, follow: bool = False, since: float | None = None, **_: Any
    ) -> AsyncIterator[LogEntry]:
        if self.is_removed:
            raise NotFound("No such container: c1")
        shown = self.lines[: self.follower_sees] if follow else self.lines
        for after_ns, text in shown:
            time_ns = _START_NS + after_ns
            if since is None or time_ns >= int(since * 1e9):
                yield LogEntry("stdout", text.encode(), time_ns)
        if follow:
            await asyncio.Event().wait()


def _started() -> EngineEvent:
    return EngineEvent("container", "start", "c1", {"name": "demo-web-1"})


def _capture(engine: _Engine, folder: Path) -> LogCapture:
    return LogCapture(engine, folder / "logs", Redactor(["hunter22"]))  # type: ignore[arg-type]


def _texts(folder: Path) -> list[str]:
    lines = (folder / "logs" / "demo-web-1.log").read_text().splitlines()
    return [line.partition(" ")[2] for line in lines]


async def test_every_line_once(tmp_path: Path) -> None:
    """Lines of one time, some of which the follower has seen, and some that come after it."""
    engine = _Engine()
    engine.lines = [(5, "one"), (5, "two hunter22"), (5, "three"), (9, "four")]
    engine.follower_sees = 2
    capture = _capture(engine, tmp_path)
    capture.engine_event(_started())
    await asyncio.sleep(0.01)
    await capture.keep()
    assert _texts(tmp_path) == ["one", "two ********", "three", "four"]
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    assert capture.problems == []


async def test_a_removed_container_keeps_what_was_read(tmp_path: Path) -> None:
    engine = _Engine()
    engine.lines = [(1, "last words")]
    capture = _capture(engine, tmp_path)
    capture.engine_event(_started())
    capture.engine_event(_started())  # a restart that overtakes the first reading
    await asyncio.sleep(0.01)
    engine.is_removed = True
    await capture.keep()
    assert _texts(tmp_path) == ["last words"]


async def test_other_events_and_names_do_no_harm(tmp_path: Path) -> None:
    engine = _Engine()
    engine.lines = [(1, "x")]
    capture = _capture(engine, tmp_path)
    capture.engine_event(EngineEvent("container", "die", "c0", {"name": "other"}))
    capture.engine_event(EngineEvent("container", "start", "c1", {"name": "../../etc/passwd"}))
    await asyncio.sleep(0.01)
    await capture.keep()
    assert [path.name for path in (tmp_path / "logs").iterdir()] == [".._.._etc_passwd.log"]


async def test_nothing_stays_where_nothing_is_wanted(tmp_path: Path) -> None:
    engine = _Engine()
    capture = _capture(engine, tmp_path)
    capture.engine_event(_started())
    await capture.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_ours_or_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    claim_folder(folder, ["*.txt"])
    (folder / "old.txt").touch()
    (folder / "theirs.xml").touch()
    (folder / ".logs-killed").mkdir()
    claim_folder(folder, ["*.txt"])
    assert {path.name for path in folder.iterdir()} == {".stackr-test", "command", "theirs.xml"}
    with pytest.raises(InvalidArgument, match="there are files of others in it"):
        claim_folder(tmp_path, ["*.txt"])
    with pytest.raises(InvalidArgument, match=r"--artifacts: .*: (not a directory|file exists)"):
        claim_folder(folder / "theirs.xml" / "x", [])


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    write_whole(tmp_path / "x" / "file", "one")
    write_whole(tmp_path / "x" / "file", "two")
    assert (tmp_path / "x" / "file").read_text() == "two"
    (tmp_path / "x" / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "x" / "folder", "three")
    assert {path.name for path in (tmp_path / "x").iterdir()} == {"file", "folder"}
