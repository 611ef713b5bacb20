"""How far pulls, pushes and loads are, as the engine tells it line by line.

Source: docker/cli, pkg jsonmessage: plain lines where nobody looks, else a line a layer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TextIO

from stackr.cli.views.units import size
from stackr.errors import Internal, NotFound, StackrError, Unauthorized
from stackr.text import visible

__all__ = ["show_progress"]

Json = dict[str, Any]
_BAR = 50


async def show_progress(lines: AsyncIterator[Json], out: TextIO | None) -> list[Json]:
    """Write each line to `out` (nowhere if None); the `aux` values of them.

    Raises what a line says to have failed.
    """
    found = []
    drawn = _Drawn(out) if out is not None and out.isatty() else None
    async for item in lines:
        if item.get("error"):
            raise _failure(item)
        if item.get("aux"):
            found.append(item["aux"])
        if out is None or "aux" in item:
            continue
        if drawn is not None:
            drawn.show(item)
        elif not _bar(item):
            out.write(_line(item))
            out.flush()
    return found


def _failure(item: Json) -> StackrError:
    """The answer's status was 200 already, so the class is in the engine's words only."""
    message = str((item.get("errorDetail") or {}).get("message") or item["error"])
    text = message.lower()
    if "unauthorized" in text or "no basic auth credentials" in text:
        return Unauthorized(message)
    if "not found" in text or "manifest unknown" in text or "does not exist" in text:
        return NotFound(message)
    return Internal(message)


def _line(item: Json) -> str:
    before = f"{item['id']}: " if item.get("id") else ""
    if item.get("stream"):
        return visible(f"{before}{item['stream']}")
    return visible(f"{before}{item.get('status') or ''}") + "\n"


def _bar(item: Json) -> str:
    """`[=====>    ]  1.2MB/3MB`; "" for a line without figures."""
    detail = item.get("progressDetail") or {}
    current, total = detail.get("current") or 0, detail.get("total") or 0
    if current <= 0 and total <= 0:
        return ""
    if total <= 0 or current > total:
        return f"{size(current):>8}"
    done = int(current / total * _BAR)
    bar = f"{'=' * done}>".ljust(_BAR + 1)[: _BAR + 1]
    return f"[{bar}] {size(current):>8}/{size(total)}"


class _Drawn:
    """A terminal on which each layer keeps its line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rows: dict[str, int] = {}

    def show(self, item: Json) -> None:
        name = item.get("id") or ""
        bar = _bar(item)
        if not name or ("progressDetail" not in item and name not in self._rows):
            self._rows.clear()
            self._out.write(_line(item))
        else:
            self._redraw(name, f"{name}: {item.get('status') or ''} {bar}".rstrip())
        self._out.flush()

    def _redraw(self, name: str, text: str) -> None:
        if name not in self._rows:
            self._rows[name] = len(self._rows)
            self._out.write("\n")
        up = len(self._rows) - self._rows[name]
        self._out.write(f"\x1b[{up}A\x1b[2K\r{visible(text)}\x1b[{up}B\r")
