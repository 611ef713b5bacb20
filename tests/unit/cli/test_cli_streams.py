"""The caller's streams joined to a program's: detaching, ends, what cannot be written any more."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from stackr.cli.interrupts import run_interruptible
from stackr.cli.streams import DetachKeys, forwarded_signals, join, parse_detach_keys
from stackr.errors import Conflict, InvalidArgument, Unavailable


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("a", b"a"),
        ("ctrl-@,ctrl-[,ctrl-_", b"\x00\x1b\x1f"),
        ("ctrl-a,x", b"\x01x"),
    ],
)
def test_detach_keys(text: str, want: bytes) -> None:
    assert parse_detach_keys(text) == want


@pytest.mark.parametrize("text", ["", "ctrl-", "ctrl-1", "ab", "ctrl-p,", "é"])
def test_detach_keys_refuse(text: str) -> None:
    with pytest.raises(InvalidArgument, match="--detach-keys"):
        parse_detach_keys(text)


@pytest.mark.parametrize(
    ("pieces", "want"),
    [
        ([b"abc"], (b"abc", False)),
        ([b"ab\x10\x11cd"], (b"ab", True)),
        ([b"ab\x10", b"\x11"], (b"ab", True)),
        ([b"ab\x10", b"x"], (b"ab\x10x", False)),
        ([b"\x10\x10\x11"], (b"\x10", True)),
        ([b"\x11\x10"], (b"\x11", False)),
    ],
)
def test_the_sequence_is_found_across_reads(pieces: list[bytes], want: tuple[bytes, bool]) -> None:
    keys, passed, found = DetachKeys(b"\x10\x11"), b"", False
    for piece in pieces:
        data, found = keys.feed(piece)
        passed += data
    assert (passed, found) == want


def test_no_sequence_is_never_found() -> None:
    assert DetachKeys(b"").feed(b"\x10\x11") == (b"\x10\x11", False)


class _Program:
    """Writes what it is told; ends when its input does, or by itself."""

    def __init__(self, *output: tuple[str, bytes], ends: bool = True, deaf: bool = False) -> None:
        self._output = output
        self._deaf = deaf
        self._ended = asyncio.Event()
        self.input = b""
        if ends:
            self._ended.set()

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        for each in self._output:
            yield each
        await self._ended.wait()

    async def write(self, data: bytes) -> None:
        if self._deaf:
            raise Unavailable("engine: the stream was closed")
        self.input += data

    async def close_stdin(self) -> None:
        self._ended.set()

    async def resize(self, *, rows: int, columns: int) -> None:
        raise Conflict("it has no size")

    async def close(self) -> None:
        return


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The writing end of stdin."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield writer


async def test_output_goes_where_it_belongs(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    program = _Program(("stdout", b"out"), ("stderr", b"err"), ("stdout", b"\xff"))
    assert await join(program, tty=False, stdin=False) is False
    assert tuple(capfdbinary.readouterr()) == (b"out\xff", b"err")


async def test_the_end_of_stdin_is_passed_on(
    capfdbinary: pytest.CaptureFixture[bytes], typed: int
) -> None:
    os.write(typed, b"one\ntwo\n")
    os.close(typed)
    program = _Program(("stdout", b"x"), ends=False)
    assert await asyncio.wait_for(join(program, tty=False, stdin=True), 10) is False
    assert program.input == b"one\ntwo\n"


async def test_a_program_that_does_not_read_may_write(
    capfdbinary: pytest.CaptureFixture[bytes], typed: int
) -> None:
    os.write(typed, b"unread")
    program = _Program(("stdout", b"done"), deaf=True)
    assert await asyncio.wait_for(join(program, tty=False, stdin=True), 10) is False
    assert capfdbinary.readouterr().out == b"done"
    os.close(typed)


async def test_detaching_leaves_the_program(
    capfdbinary: pytest.CaptureFixture[bytes], typed: int
) -> None:
    os.write(typed, b"ls\x10\x11never")
    program = _Program(ends=False)
    done = await asyncio.wait_for(join(program, tty=True, stdin=True, detach_keys=b"\x10\x11"), 10)
    assert done is True
    assert program.input == b"ls"
    os.close(typed)


def test_signals_are_forwarded_and_the_third_kills() -> None:
    sent: list[str] = []

    async def send(name: str) -> None:
        sent.append(name)
        if name == "SIGUSR1":
            raise Conflict("it has ended")

    numbers = (signal.SIGUSR1, signal.SIGHUP, signal.SIGINT, signal.SIGINT, signal.SIGTERM)

    async def work() -> None:
        with forwarded_signals(send):
            for count, number in enumerate(numbers, 1):
                signal.raise_signal(number)
                while len(sent) < count:
                    await asyncio.sleep(0.01)

    run_interruptible(work())
    assert sent == ["SIGUSR1", "SIGHUP", "SIGINT", "SIGINT", "SIGKILL"]


def test_afterwards_ctrl_c_interrupts_again() -> None:
    async def send(name: str) -> None:
        raise AssertionError(name)

    async def work() -> None:
        with forwarded_signals(send):
            pass
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        run_interruptible(work())
