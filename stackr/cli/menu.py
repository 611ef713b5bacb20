"""The keys of an attached `up`: d detaches, w watches, r restarts a service.

They are read one by one, without echo; Ctrl-C stays what it is. Of Docker Compose's menu.
"""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from stackr.cli.terminal import read_chunks

__all__ = ["Menu", "typed_keys"]

_ESCAPE, _END = "\x1b", ("\r", "\n")
_BACK = ("\x7f", "\x08")
HINT = "keys: d detaches, w watches source files, r restarts a service, Ctrl+C stops all"


@dataclass(slots=True)
class Menu:
    """What the keys do. say: shows a line. services: those that can be restarted.

    detach: leaves the containers running. watch: turns watching on or off. restart: of a service.
    """

    say: Callable[[str], object]
    services: Sequence[str]
    detach: Callable[[], object]
    watch: Callable[[], Awaitable[object]]
    restart: Callable[[str], Awaitable[object]]
    hint: str = HINT

    async def run(self, keys: AsyncIterator[str]) -> None:
        """Do what is typed, until there is no more."""
        self.say(self.hint)
        async for key in keys:
            match key:
                case "d":
                    self.detach()
                    return
                case "w":
                    await self.watch()
                case "r":
                    await self._restart(keys)
                case _:
                    continue

    async def _restart(self, keys: AsyncIterator[str]) -> None:
        """One service at once; of several, which one is asked for by a number or a name."""
        if len(self.services) == 1:
            await self.restart(self.services[0])
            return
        listed = ", ".join(f"{at} {name}" for at, name in enumerate(self.services, 1))
        self.say(f"restart which one, by number or name, then Enter (Esc for none): {listed}")
        word = await _word(keys)
        name = self._named(word)
        if name is not None:
            await self.restart(name)
        elif word:
            self.say(f"no such service: {word}")

    def _named(self, word: str) -> str | None:
        """By its number, its name, or the only one that begins so."""
        if word in self.services:
            return word
        if word.isdecimal() and 0 < int(word) <= len(self.services):
            return self.services[int(word) - 1]
        near = [name for name in self.services if word and name.startswith(word)]
        return near[0] if len(near) == 1 else None


async def _word(keys: AsyncIterator[str]) -> str:
    """What is typed until Enter; "" after Esc."""
    word = ""
    async for key in keys:
        if key == _ESCAPE:
            return ""
        if key in _END:
            return word
        word = word[:-1] if key in _BACK else word + key
    return ""


@contextlib.contextmanager
def typed_keys() -> Iterator[AsyncIterator[str] | None]:
    """Single keys of the terminal at standard input; None where there is none to be read."""
    fd = _terminal()
    if fd is None:
        yield None
        return
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd, termios.TCSANOW)
    try:
        yield _keys(fd)
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)


def _terminal() -> int | None:
    try:
        fd = sys.stdin.fileno()
        if not os.isatty(fd):
            return None
    except (OSError, ValueError, AttributeError):
        return None
    with contextlib.suppress(OSError):  # another session's terminal knows no job of ours
        if os.tcgetpgrp(fd) != os.getpgrp():
            return None
    return fd


async def _keys(fd: int) -> AsyncIterator[str]:
    async for chunk in read_chunks(fd, 256):
        for key in chunk.decode(errors="ignore"):
            yield key
