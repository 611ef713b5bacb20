"""Probes that are given up, and output that is read piece by piece; no container is needed."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.health import probe_file
from stackr.runtime.engine.container.health.probe import compiled
from stackr.runtime.engine.container.health.probe_file import FileProbe
from stackr.runtime.engine.container.health.probe_log import LogProbe
from stackr.runtime.engine.linux.process import start_ticks

TIME = "2026-01-02T03:04:05.000000001+00:00"


def probe_threads() -> int:
    return sum(thread.name == "file probe" for thread in threading.enumerate())


async def test_a_file_system_that_hangs_blocks_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def open_at(folder: int, path: bytes, flags: int, *, resolve: int) -> int:
        answers.wait(60)
        return os.open("/dev/null", os.O_RDONLY)

    monkeypatch.setattr(probe_file, "open_at", open_at)
    probe = FileProbe(os.getpid(), start_ticks(os.getpid()), "/x")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(probe(), 0.02)
    assert probe_threads() == 1
    answers.set()
    assert (await probe()).output == "/x: exists"


async def test_a_process_that_has_ended_has_no_files() -> None:
    result = await FileProbe(os.getpid(), start_ticks(os.getpid()) + 1, "/etc")()
    assert (result.exit_code, result.output) == (1, "the container has ended")


def lines(*texts: str, stream: str = "stdout", time: str = TIME) -> bytes:
    return b"".join(f"{time} {stream} F {text}\n".encode() for text in texts)


async def test_a_log_is_read_once_and_piece_by_piece(tmp_path: Path) -> None:
    log = tmp_path / "log"
    probe = LogProbe(log, "^ready$", since_ns=0, matched=False)
    try:
        assert (await probe()).exit_code == 1  # there is no log yet
        whole = lines("not ready", "ready")
        log.write_bytes(whole[:-3])
        assert (await probe()).exit_code == 1
        with log.open("ab") as file:
            file.write(whole[-3:])
        assert (await probe()).output == "ready"
        log.unlink()
        assert (await probe()).exit_code == 0
    finally:
        probe.close()


async def test_pieces_of_a_long_line_are_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(f"{TIME} stdout P rea\n{TIME} stderr F x\n{TIME} stdout F dy\n".encode())
    probe = LogProbe(log, "^ready$", since_ns=0, matched=False)
    assert (await probe()).exit_code == 0
    probe.close()


async def test_older_lines_do_not_count(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(lines("ready"))
    probe = LogProbe(log, "ready", since_ns=2_000_000_000_000_000_000, matched=False)
    assert (await probe()).exit_code == 1
    probe.close()


async def test_a_log_that_is_begun_anew_is_read_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(lines("one"))
    probe = LogProbe(log, "two", since_ns=0, matched=False)
    assert (await probe()).exit_code == 1
    log.unlink()
    log.write_bytes(lines("two"))
    assert (await probe()).exit_code == 0
    probe.close()


async def test_a_log_that_grows_as_it_is_read_ends_nevertheless(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(lines("one") * 1000)

    async def write() -> None:
        with log.open("ab") as file:
            while True:
                file.write(lines("more") * 1000)
                file.flush()
                await asyncio.sleep(0)

    writer = asyncio.ensure_future(write())
    probe = LogProbe(log, "two", since_ns=0, matched=False)
    assert (await asyncio.wait_for(probe(), 30)).exit_code == 1
    writer.cancel()
    probe.close()


def test_bytes_that_are_no_text_do_not_hide_a_match() -> None:
    assert compiled("réady").search(b"\xff\xfe r\xc3\xa9ady \xff") is not None


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="not in UTF-8"):
        compiled("\udc80")
