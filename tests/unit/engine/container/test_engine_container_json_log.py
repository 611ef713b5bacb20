"""The log that Docker's json-file has: its options, what is written of a spool, and its readers."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import select
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.io import json_writer
from stackr.runtime.engine.container.io.json_log import decode, encode, ends_line, stamp
from stackr.runtime.engine.container.io.json_reader import JsonLogReader
from stackr.runtime.engine.container.io.json_writer import JsonWriter
from stackr.runtime.engine.container.io.log_options import (
    LogTarget,
    Rotation,
    attributes,
    rotation,
)
from stackr.runtime.engine.container.io.logs import LogQuery
from stackr.runtime.engine.container.io.rotated_file import RotatedFile
from stackr.runtime.engine.container.io.turns import Turns
from stackr.runtime.engine.container.settings.spec import Config, LogConfig
from stackr.runtime.engine.linux.inotify import FileWatches

_TIME = "2026-01-02T03:04:05.120000000+00:00"


def _spooled(text: str, *, stream: str = "stdout", tag: str = "F") -> bytes:
    return f"{_TIME} {stream} {tag} {text}\n".encode()


class _Log:
    """A log in a folder, and the spool that a monitor would write to."""

    def __init__(self, folder: Path, rotated: Rotation | None = None) -> None:
        self.spool = folder / "container.log"
        self.file = RotatedFile(folder / "c-json.log", rotated or Rotation())
        self.writer = self.opened()

    def opened(self, control: Path = Path("/missing")) -> JsonWriter:
        return JsonWriter(self.spool, self.file, attrs="", control=control, turns=Turns())

    def say(self, *lines: bytes) -> None:
        with self.spool.open("ab") as spool:
            spool.write(b"".join(lines))

    def texts(self) -> list[str]:
        lines = b"".join(path.read_bytes() for path in self.file.files()).splitlines()
        return [json.loads(line)["log"] for line in lines]

    async def read(self, **query: Any) -> list[bytes]:
        reader = JsonLogReader(self.writer, LogQuery(**query), Turns())
        return [entry.line async for entry in reader]


def test_entries_are_as_dockerd_writes_them() -> None:
    line = encode(b'a "b" \xff\n', "stderr", stamp(_TIME), '{"k":"v"}')
    assert (
        line
        == (
            '{"log":"a \\"b\\" \ufffd\\n","stream":"stderr","attrs":{"k":"v"},'
            '"time":"2026-01-02T03:04:05.12Z"}\n'
        ).encode()
    )
    entry = decode(line)
    assert entry is not None
    assert (entry.stream, entry.time_ns % 10**9) == ("stderr", 120_000_000)
    assert ends_line(line)
    assert not ends_line(encode(b"begun", "stdout", stamp(_TIME), ""))
    for damaged in (b"", b"{", b"[]", b'{"log":1,"stream":"stdout","time":"x"}'):
        assert decode(damaged) is None


_LINES = (
    *(b"plain\n", b"begun", b"", b"\n", b'a "b"\n', b"tab\t\n", b"a\\n", b"a\\\n", b"\x01\n"),
    "é…\U0001f600\n".encode(),
)


@pytest.mark.parametrize("line", _LINES)
def test_what_is_written_is_read(line: bytes) -> None:
    """Those without escapes and attributes are read by a shorter way."""
    for attrs in ("", '{"k":"v"}'):
        entry = decode(encode(line, "stderr", stamp(_TIME), attrs).rstrip(b"\n"))
        assert entry is not None
        assert (entry.stream, entry.line) == ("stderr", line)
        assert entry.time_ns % 10**9 == 120_000_000


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (LogConfig(type="nosuch"), 'plugin "nosuch" not found'),
        (LogConfig(config={"foo": "1"}), "unknown log opt 'foo' for json-file log driver"),
        (LogConfig(type="local", config={"tag": "x"}), "unknown log opt 'tag' for local"),
        (LogConfig(config={"max-size": "x"}), "invalid size: 'x'"),
        (LogConfig(config={"max-file": "0"}), "invalid log option max-file: 0"),
        (LogConfig(config={"compress": "true"}), "compress cannot be true when max-file"),
        (LogConfig(config={"mode": "odd"}), "logging mode not supported: odd"),
        (LogConfig(config={"max-buffer-size": "1m"}), "only supported with 'mode=non-blocking'"),
        (LogConfig(config={"tag": "{{.Nope}}"}), "invalid log option tag"),
        (LogConfig(config={"env-regex": "("}), "invalid log option env-regex"),
    ],
)
def test_options_that_nothing_honours_are_refused(config: LogConfig, text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        rotation(config)
    assert text in caught.value.message


def test_a_driver_that_is_not_there_is_refused_in_dockers_words() -> None:
    """Clients match the whole of them; what there is instead is a hint."""
    text = 'error looking up logging plugin splunk: plugin "splunk" not found'
    with pytest.raises(InvalidArgument, match=f"^{text}$") as caught:
        rotation(LogConfig(type="splunk"))
    assert "json-file" in (caught.value.hint or "")


def test_options_say_how_a_log_is_kept_and_marked() -> None:
    given = {"max-size": "10m", "max-file": "3", "compress": "true"}
    assert rotation(LogConfig(config=given)) == Rotation(10 << 20, 3, True)
    assert rotation(LogConfig(config={"max-size": "1.5kb"})) == Rotation(1536)
    marks = {
        "labels": "a",
        "env-regex": "^V",
        "tag": "{{.Name}}/{{.ID}}",
        "mode": "non-blocking",
        "max-buffer-size": "4m",
    }
    config = Config(labels={"a": "1", "b": "2"}, env=["V1=x", "W=y", "VOID"])
    target = LogTarget("f" * 64, "web", "i:1", "sha256:0")
    assert attributes(LogConfig(config=marks), config, target) == {
        "a": "1",
        "V1": "x",
        "tag": f"web/{'f' * 12}",
    }


async def test_what_is_spooled_is_written_whole(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    log.say(_spooled("one"), _spooled("be", tag="P"), _spooled("err", stream="stderr"))
    await log.writer.catch_up()
    assert log.texts() == ["one\n", "err\n"]
    log.say(_spooled("gun"), _spooled("a\rb"), b"damaged\n", _spooled("cut")[:-3])
    await log.writer.catch_up()
    assert log.texts() == ["one\n", "err\n", "begun\n", "a\rb\n"]
    log.say(b"ut\n", _spooled("rest", tag="P"))
    await log.writer.finish()
    assert log.texts()[4:] == ["cut\n", "rest"]
    assert not log.spool.exists()


async def test_a_long_line_is_in_pieces(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    log.say(*[_spooled("x" * 8192, tag="P")] * 3, _spooled("end"))
    assert await log.read() == [b"x" * 24576 + b"end\n"]
    assert [len(text) for text in log.texts()] == [16384, 8196]


async def test_a_daemon_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    log.say(_spooled("one"), _spooled("be", tag="P"))
    await log.writer.catch_up()
    noted = (tmp_path / "container.log.progress").read_bytes()
    log.say(_spooled("gun"), _spooled("three"))
    await log.writer.catch_up()
    (tmp_path / "container.log.progress").write_bytes(noted)  # it was killed before
    log.writer = log.opened()
    log.say(_spooled("four"))
    await log.writer.catch_up()
    assert log.texts() == ["one\n", "begun\n", "three\n", "four\n"]


async def test_full_files_are_begun_anew(tmp_path: Path) -> None:
    log = _Log(tmp_path, Rotation(400, 3, True))
    log.say(*[_spooled(f"line {number}") for number in range(20)])
    await log.writer.catch_up()
    names = sorted(path.name for path in tmp_path.glob("c-json.log*"))
    assert names == ["c-json.log", "c-json.log.1.gz", "c-json.log.2.gz"]
    kept = await log.read()
    assert kept == [f"line {number}\n".encode() for number in range(20 - len(kept), 20)]
    assert len(kept) > 5
    assert await log.read(tail=7) == kept[-7:]
    assert await log.read(tail=0) == []
    assert await log.read(tail=100) == kept


async def test_packed_files_are_unpacked_only_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, unpacked = _Log(tmp_path, Rotation(400, 4, True)), []
    log.say(*[_spooled(f"line {number}") for number in range(20)])
    await log.writer.catch_up()
    real = gzip.open

    def counted(*arguments: Any) -> Any:
        unpacked.append(arguments)
        return real(*arguments)

    monkeypatch.setattr("stackr.runtime.engine.container.io.json_reader.gzip.open", counted)
    assert await log.read(tail=1) == [b"line 19\n"]
    assert await log.read(since_ns=2**62) == []
    assert unpacked == []
    assert len(await log.read()) > 5
    assert len(unpacked) == 3


async def test_a_follower_of_a_packed_file_sees_it_once(tmp_path: Path) -> None:
    """The next one is begun only with the next entry."""
    log = _Log(tmp_path, Rotation(60, 3, True))
    log.say(_spooled("first"))
    await log.writer.catch_up()
    assert [path.suffix for path in log.file.files()] == [".gz"]
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    reader = aiter(JsonLogReader(log.writer, LogQuery(follow=True), Turns(), ended))
    assert (await anext(reader)).line == b"first\n"
    log.say(_spooled("second"))
    await log.writer.finish()
    ended.set_result(0)
    assert [entry.line async for entry in reader] == [b"second\n"]


async def test_one_file_is_emptied(tmp_path: Path) -> None:
    log = _Log(tmp_path, Rotation(300))
    log.say(*[_spooled(f"line {number}") for number in range(9)])
    assert (await log.read())[-1] == b"line 8\n"
    assert log.file.status()[1] < 400


async def test_a_spool_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the monitor has ended, it stays; else the old one is read to its end."""
    monkeypatch.setattr("stackr.runtime.engine.container.io.json_writer._SPOOL_BYTES", 100)
    log = _Log(tmp_path)
    log.say(*[_spooled("old")] * 3)
    await log.writer.catch_up()
    assert log.spool.exists()
    log.spool.rename(tmp_path / "container.log.1")
    with (tmp_path / "container.log.1").open("ab") as former:
        former.write(_spooled("late"))
    log.say(_spooled("new"))
    await log.writer.catch_up()
    assert log.texts() == ["old\n"] * 3 + ["late\n", "new\n"]
    assert not (tmp_path / "container.log.1").exists()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_spool_that_somebody_removed_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monitor writes to the removed file, until it is told to make another."""
    monkeypatch.setattr("stackr.runtime.engine.container.io.json_writer._AGAIN_S", 0.01)
    (tmp_path / "container").mkdir()
    log = _Log(tmp_path / "container")
    log.say(_spooled("before"))
    os.mkfifo(tmp_path / "ctl")
    control = os.open(tmp_path / "ctl", os.O_RDONLY | os.O_NONBLOCK)
    log.writer = log.opened(tmp_path / "ctl")
    watches = FileWatches()
    keeping = asyncio.create_task(log.writer.run(watches))
    await _until(lambda: log.texts() == ["before\n"])
    with log.spool.open("ab") as former:
        shutil.rmtree(tmp_path / "container")
        former.write(_spooled("lost"))
        former.flush()
        await _until(lambda: select.select([control], [], [], 0)[0] != [])
    assert os.read(control, 100).startswith(b"2 ")
    log.say(_spooled("after"))
    await _until(lambda: log.texts() == ["after\n"])
    log.file.path.unlink()
    log.file.path.mkdir()
    log.say(_spooled("again"))
    await _until(log.file.path.is_file)
    assert log.texts() == ["again\n"]
    keeping.cancel()
    watches.close()
    os.close(control)


async def test_a_damaged_piece_of_a_spool_costs_itself_alone(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    log.say(_spooled("before"), b"\0" * 200_000, b"\n", b"\xff \xfe \xfd\n", _spooled("after"))
    await log.writer.catch_up()
    assert log.texts() == ["before\n", "after\n"]


async def test_what_is_in_the_place_of_a_logs_files_goes_aside(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    for name in ("container.log", "container.log.1", "container.log.progress", "c-json.log"):
        (tmp_path / name / "lost").mkdir(parents=True)
    log.writer.make_way()
    log.say(_spooled("kept"))
    await log.writer.catch_up()
    assert log.texts() == ["kept\n"]


async def test_followers_see_what_comes_across_files_until_the_end(tmp_path: Path) -> None:
    log = _Log(tmp_path, Rotation(200, 2))
    log.say(_spooled("first"))
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    query = LogQuery(follow=True)
    reader = aiter(JsonLogReader(log.writer, query, Turns(), ended))
    assert (await anext(reader)).line == b"first\n"
    for number in range(6):
        log.say(_spooled(f"line {number}"))
        await log.writer.catch_up()
        assert (await anext(reader)).line == f"line {number}\n".encode()
    log.say(_spooled("begun", tag="P"))
    await log.writer.finish()
    ended.set_result(0)
    assert [entry.line async for entry in reader] == [b"begun"]


async def test_a_container_that_writes_faster_than_it_is_read_keeps_no_reader_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And neither does who takes its log over meanwhile, who is never done."""
    monkeypatch.setattr(json_writer, "_A_WHILE_S", 0.0)
    log = _Log(tmp_path)
    block = _spooled("x" * 50) * 1000
    log.say(block * 10)
    take = log.writer._turns.take

    async def outrun() -> None:
        log.say(block)
        await take()

    monkeypatch.setattr(log.writer._turns, "take", outrun)
    keeping = asyncio.create_task(log.writer.catch_up())
    await asyncio.sleep(0)
    reader = JsonLogReader(log.writer, LogQuery(tail=1), Turns(), runs=True)
    assert [entry.line async for entry in reader] == [b"x" * 50 + b"\n"]
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_a_burst_is_told_whole_however_long_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_writer, "_A_WHILE_S", 0.0)
    log = _Log(tmp_path)
    log.say(_spooled("x" * 50) * 20000, _spooled("END"))
    reader = JsonLogReader(log.writer, LogQuery(tail=1), Turns(), runs=True)
    assert [entry.line async for entry in reader] == [b"END\n"]
