"""The caller's streams joined to those of a program in a container: keys, output, size, signals.

`exec`, `run` and `attach` share it. On a terminal every key goes to the program, but for the
sequence that detaches from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator

from stackr.cli.interrupts import cancel_on_signals
from stackr.cli.terminal import raw_terminal, read_chunks, terminal_size, watch_size
from stackr.errors import InvalidArgument, StackrError, Unavailable
from stackr.runtime.protocol import Streams

__all__ = ["DEFAULT_KEYS", "DetachKeys", "forwarded_signals", "join", "parse_detach_keys"]

DEFAULT_KEYS = b"\x10\x11"
"""Ctrl-P, Ctrl-Q."""
_CHUNK = 65536
_CONTROLS = {chr(code + 64).lower(): code for code in range(32)}
_FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_PATIENCE = 3


def parse_detach_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or `a,b` as the bytes that a terminal sends. Raises InvalidArgument."""
    keys = bytearray()
    for name in text.split(","):
        if len(name) == 1 and name.isascii():
            keys += name.encode()
        elif name.startswith("ctrl-") and name.removeprefix("ctrl-") in _CONTROLS:
            keys.append(_CONTROLS[name.removeprefix("ctrl-")])
        else:
            raise InvalidArgument(
                f'--detach-keys: "{text}": "{name}": a character or ctrl-<a-z> is expected'
            )
    return bytes(keys)


class DetachKeys:
    """Looks for a sequence of keys in what is typed; b"" is never found."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What goes on to the program, and whether the sequence was typed.

        The beginning of a sequence is held back until it is known to be none.
        """
        if not self._keys:
            return data, False
        passed = bytearray()
        for key in data:
            if key == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._matched]
            self._matched = int(key == self._keys[0])
            if not self._matched:
                passed.append(key)
        return bytes(passed), False


async def join(streams: Streams, *, tty: bool, stdin: bool, detach_keys: bytes = b"") -> bool:
    """Pass input and output on until the program ends; True where the user detached from it.

    tty: the program has a terminal. stdin: the caller's goes to it.
    """
    with contextlib.ExitStack() as stack:
        if tty:
            if stdin and sys.stdin.isatty():
                stack.enter_context(raw_terminal(sys.stdin.fileno()))
            _follow_size(streams, stack)
        keys = DetachKeys(detach_keys if tty else b"")
        typing = asyncio.ensure_future(_send_input(streams, keys) if stdin else _nothing())
        showing = asyncio.ensure_future(_show_output(streams))
        try:
            await asyncio.wait({typing, showing}, return_when=asyncio.FIRST_COMPLETED)
            if typing.done() and not showing.done() and _has_detached(typing):
                return True
            await showing
        finally:
            typing.cancel()
            showing.cancel()
            await asyncio.gather(typing, showing, return_exceptions=True)
    return False


async def _nothing() -> bool:
    return False


def _has_detached(typing: asyncio.Future[bool]) -> bool:
    """A program that does not read any more may still write."""
    error = typing.exception()
    if error is not None and not isinstance(error, Unavailable):
        raise error
    return error is None and typing.result()


def _follow_size(streams: Streams, stack: contextlib.ExitStack) -> None:
    """Give the program's terminal the size of the caller's, now and when that changes."""
    tasks: set[asyncio.Task[None]] = set()

    def resize() -> None:
        size = terminal_size()
        if size is not None:
            columns, rows = size
            task = asyncio.ensure_future(streams.resize(rows=rows, columns=columns))
            tasks.add(task)
            task.add_done_callback(_forget)

    def _forget(task: asyncio.Task[None]) -> None:
        """A program that has ended, or has not begun, has no size."""
        tasks.discard(task)
        if not task.cancelled():
            task.exception()

    resize()
    stack.enter_context(watch_size(resize))


async def _send_input(streams: Streams, keys: DetachKeys) -> bool:
    """Pass stdin on until its end, or until the user detaches, which is True."""
    async for data in read_chunks(sys.stdin.fileno(), _CHUNK):
        passed, has_detached = keys.feed(data)
        if passed:
            await streams.write(passed)
        if has_detached:
            return True
    await streams.close_stdin()
    return False


async def _show_output(streams: Streams) -> None:
    outputs = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    async for name, data in streams.output():
        outputs[name].write(data)
        outputs[name].flush()


@contextlib.contextmanager
def forwarded_signals(send: Callable[[str], Awaitable[None]]) -> Iterator[None]:
    """Give the signals that arrive to `send`, by name, in place of acting on them.

    A program may not heed them: the third Ctrl-C or SIGTERM is sent as SIGKILL. For the work of
    `run_interruptible`, which the first two interrupt again afterwards.
    """
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Future[None]] = set()
    asked = 0

    def arrived(number: signal.Signals) -> None:
        nonlocal asked
        asked += number in (signal.SIGINT, signal.SIGTERM)
        task = asyncio.ensure_future(_sent(send, "SIGKILL" if asked >= _PATIENCE else number.name))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    before = {number: signal.getsignal(number) for number in _FORWARDED}
    for number in _FORWARDED:
        loop.add_signal_handler(number, arrived, number)
    try:
        yield
    finally:
        for number in _FORWARDED:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
        cancel_on_signals()


async def _sent(send: Callable[[str], Awaitable[None]], name: str) -> None:
    with contextlib.suppress(StackrError):  # it has ended meanwhile
        await send(name)
