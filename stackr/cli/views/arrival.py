"""The last lines of `up`: how long it took, where the stack answers, what has ended right away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from stackr.cli.views.output import Output

__all__ = ["Arrived", "arrival_lines", "ended_lines", "took"]


class Ended(Protocol):
    """A container that ended with an error; see `stackr.stack.arrival`."""

    @property
    def name(self) -> str: ...
    @property
    def code(self) -> int: ...
    @property
    def is_restarting(self) -> bool: ...
    @property
    def log(self) -> Sequence[str]: ...


class Arrived(Protocol):
    """A stack that is up."""

    @property
    def project(self) -> str: ...
    @property
    def urls(self) -> Sequence[tuple[str, str]]: ...
    @property
    def ended(self) -> Sequence[Ended]: ...


def arrival_lines(arrived: Arrived, took_s: float, output: Output) -> Iterator[str]:
    """`shop is up in 9 s`, and a line for each published port."""
    ended = len(arrived.ended)
    but = "" if not ended else f"; {ended} container{'s' if ended > 1 else ''} ended with an error"
    yield output.paint(f"{arrived.project} is up in {took(took_s)}{but}", "bold")
    width = max((len(name) for name, _ in arrived.urls), default=0)
    for name, url in arrived.urls:
        yield f"  {name:<{width}}  {output.paint(url, 'cyan')}"


def ended_lines(ended: Ended, output: Output) -> Iterator[str]:
    """`container shop-web-1 exited with code 3 right after its start`, and its last lines."""
    again = ", and is restarting" if ended.is_restarting else ""
    yield f"container {ended.name} exited with code {ended.code} right after its start{again}"
    if ended.log:
        yield f"  last output of {ended.name}:"
        yield from (f"    {output.paint('|', 'dim')} {line}" for line in ended.log)


def took(seconds: float) -> str:
    """`0.4 s`, `9 s`, `2 min 5 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 3 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
