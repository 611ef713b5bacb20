"""Reading a container's log: from its end, to its end, and as it grows."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_files import open_files, room_for

from stackr.errors import Unavailable
from stackr.runtime.engine.container.io import log_seek
from stackr.runtime.engine.container.io.log_reader import FORM, LogReader
from stackr.runtime.engine.container.io.log_seek import since_start, tail_start
from stackr.runtime.engine.container.io.logs import LineJoiner, LogEntry, LogQuery, Selection
from stackr.runtime.engine.container.io.turns import Turns
from stackr.runtime.engine.linux.inotify import FileWatches

_TIME = "2026-01-02T03:04:05.000000000+00:00"
_FOLLOWERS = 300


def _line(text: str, tag: str = "F") -> bytes:
    return f"{_TIME} stdout {tag} {text}\n".encode()


@pytest.fixture
async def watches() -> AsyncIterator[FileWatches]:
    watches = FileWatches()
    yield watches
    watches.close()


async def test_a_reading_ends_where_the_log_ended_when_it_began(
    tmp_path: Path, watches: FileWatches
) -> None:
    path = tmp_path / "log"
    path.write_bytes(_line("0") * 2000)
    reader, seen = LogReader.open(path, LogQuery(tail=1500), watches=watches, turns=Turns()), 0
    async for _ in reader:
        seen += 1
        with path.open("ab") as log:
            log.write(_line("more") * 2)
    assert seen == 1500


async def test_a_log_that_is_not_there_is_empty(tmp_path: Path, watches: FileWatches) -> None:
    ended = asyncio.get_running_loop().create_future()
    reader = LogReader.open(
        tmp_path / "none", LogQuery(follow=True), watches=watches, turns=Turns(), ended=ended
    )
    assert [entry async for entry in reader] == []


class _Followed:
    """A log that is read as it grows."""

    def __init__(self, path: Path, watches: FileWatches) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self.lines: list[bytes] = []
        self._more = asyncio.Event()
        reader = LogReader.open(
            path, LogQuery(follow=True), watches=watches, turns=Turns(), ended=self.ended
        )
        self.task = asyncio.ensure_future(self._read(reader))

    async def _read(self, reader: LogReader) -> None:
        async for entry in reader:
            self.lines.append(entry.line)
            self._more.set()

    async def until(self, lines: list[bytes]) -> None:
        while self.lines != lines:
            self._more.clear()
            await self._more.wait()


async def test_followers_share_one_instance_of_inotify(
    tmp_path: Path, watches: FileWatches
) -> None:
    before, paths = _instances(), [tmp_path / str(number // 2) for number in range(_FOLLOWERS)]
    for path in paths:
        path.write_bytes(_line("a"))
    followed = [_Followed(path, watches) for path in paths]
    assert _instances() == before + 1
    async with asyncio.timeout(60):
        for each in followed:
            await each.until([b"a\n"])
        for path in set(paths):
            with path.open("ab") as log:
                log.write(_line("b"))
        for each in followed:
            await each.until([b"a\n", b"b\n"])
        followed[0].ended.set_result(0)
        await followed[0].task
        (tmp_path / "new").write_bytes(_line("c"))
        (tmp_path / "new").rename(paths[1])  # as its monitor does with a log that is full
        await followed[1].until([b"a\n", b"b\n", b"c\n"])
        for each in followed[1:]:
            each.ended.set_result(0)
        await asyncio.gather(*(each.task for each in followed))
    assert all(each.lines == [b"a\n", b"b\n"] for each in followed if each is not followed[1])


def _instances() -> int:
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found += os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:inotify"
    return found


async def test_what_the_kernel_can_watch_no_more_of_is_named(
    tmp_path: Path, watches: FileWatches
) -> None:
    (tmp_path / "log").touch()
    ended = asyncio.get_running_loop().create_future()
    before = open_files()
    with room_for(1), pytest.raises(Unavailable, match="cannot be watched") as raised:
        LogReader.open(
            tmp_path / "log", LogQuery(follow=True), watches=watches, turns=Turns(), ended=ended
        )
    assert "max_user_instances" in str(raised.value.hint)
    assert open_files() == before
    assert ended.cancelled()


async def test_of_many_that_read_one_has_each_turn_of_the_loop() -> None:
    turns, order = Turns(), []

    async def read(name: int) -> None:
        for _ in range(3):
            await turns.take()
            order.append(name)

    async def count() -> None:
        for _ in range(20):
            order.append(-1)
            await asyncio.sleep(0)

    tasks = [asyncio.ensure_future(read(number)) for number in range(4)]
    tasks[3].cancel()
    await asyncio.gather(count(), *tasks[:3])
    done = [name for name in order if name >= 0]
    assert done == [0, 1, 2] * 3
    neighbours = itertools.pairwise(order)
    assert not [pair for pair in neighbours if min(pair) >= 0]


_ENTRIES = st.lists(st.tuples(st.text("ab ", max_size=9), st.sampled_from("FFP")), max_size=12)


@given(entries=_ENTRIES, lines=st.integers(0, 13), cut=st.integers(0, 30), block=st.integers(1, 99))
async def test_the_tail_begins_where_its_first_line_does(
    entries: list[tuple[str, str]], lines: int, cut: int, block: int
) -> None:
    """In blocks of any size, and with a last entry that is half written."""
    data = b"".join(_line(text, tag) for text, tag in entries)
    data = data[: max(0, len(data) - cut)]
    with TemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_seek, "_BLOCK", block)
        file.write(data + b"what is written meanwhile\n")
        file.flush()
        found, _ = await tail_start(file.fileno(), lines, Turns(), size=len(data), form=FORM)
    assert found == _tail_begin(data, lines)


def _tail_begin(data: bytes, lines: int) -> int:
    """The same, by reading everything from the front."""
    begins, offset, begins_line = [], 0, True
    for entry in data.splitlines(keepends=True):
        if begins_line:
            begins.append(offset)
        begins_line = entry.split(b" ", 3)[2:3] != [b"P"]
        offset += len(entry)
    if lines == 0:
        return len(data)
    return begins[-lines] if lines <= len(begins) else 0


def _at(second: int, text: str, tag: str = "F") -> bytes:
    time = f"2026-01-02T03:{second // 60:02}:{second % 60:02}.000000000+00:00"
    return f"{time} stdout {tag} {text}\n".encode()


_T0_NS = 1767322800 * 10**9
"""2026-01-02T03:00:00Z"""
_STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.text("ab ", max_size=40), st.sampled_from("FFFP")), max_size=60
)


@given(steps=_STEPS, since=st.integers(0, 90), cut=st.integers(0, 30), block=st.integers(1, 400))
async def test_a_reading_since_a_time_is_as_if_all_had_been_read(
    steps: list[tuple[int, str, str]], since: int, cut: int, block: int
) -> None:
    times = itertools.accumulate(step for step, _, _ in steps)
    data = b"".join(_at(time, *rest) for time, (_, *rest) in zip(times, steps, strict=True))
    data = data[: max(0, len(data) - cut)]
    since_ns = _T0_NS + since * 10**9
    with TemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_seek, "_BLOCK", block)
        patch.setattr(log_seek, "_PROBE", block)
        file.write(data + b"what is written meanwhile\n")
        file.flush()
        start = await since_start(file.fileno(), since_ns, Turns(), size=len(data), form=FORM)
    assert _told(data[start:], since_ns) == _told(data, since_ns)


def _told(data: bytes, since_ns: int) -> list[LogEntry]:
    """What a reading from here on tells."""
    selection = Selection(LogQuery(since_ns=since_ns), LineJoiner())
    return selection.take(data.split(b"\n")[:-1]) + selection.rest()


async def test_a_late_line_that_began_early_hides_nothing() -> None:
    """Its time is that of its beginning, wherever the search comes upon it."""
    lines = [_at(time // 10, "x" * 100) for time in range(6000)]
    lines[3000:3000] = [_at(0, "begun long ago")]
    data = b"".join(lines)
    with TemporaryFile() as file:
        file.write(data)
        file.flush()
        for since in range(0, 600, 37):
            since_ns = _T0_NS + since * 10**9
            start = await since_start(file.fileno(), since_ns, Turns(), size=len(data), form=FORM)
            assert _told(data[start:], since_ns) == _told(data, since_ns)


@pytest.mark.parametrize("query", [LogQuery(since_ns=_T0_NS + 3590 * 10**9), LogQuery(tail=10)])
async def test_the_end_of_a_long_log_is_found_without_reading_it(
    tmp_path: Path, watches: FileWatches, query: LogQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = tmp_path / "log", list[int]()
    with path.open("wb") as log:
        for second in range(3600):
            log.write(_at(second, "x" * 500) * 10)
    for name in ("read", "pread"):
        monkeypatch.setattr(os, name, _counted(getattr(os, name), read))
    found = [e async for e in LogReader.open(path, query, watches=watches, turns=Turns())]
    assert found[-1].time_ns == _T0_NS + 3599 * 10**9
    assert len(found) in (10, 100)
    assert sum(read) < path.stat().st_size / 20


def _counted(real: Callable[..., bytes], read: list[int]) -> Callable[..., bytes]:
    def counted(*arguments: int) -> bytes:
        data = real(*arguments)
        read.append(len(data))
        return data

    return counted
