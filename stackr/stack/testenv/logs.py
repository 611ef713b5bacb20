"""The containers' output, kept in files from their first line on, also of those that are removed.

Secrets are masked before a line is written.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from stackr.errors import StackrError
from stackr.runtime.protocol import Runtime, SupportsLogs
from stackr.runtime.types import EngineEvent, LogEntry
from stackr.stack.log_position import LogPosition
from stackr.stack.testenv.files import HIDDEN_LOGS
from stackr.stack.testenv.redaction import Redactor

__all__ = ["LogCapture"]

_PATIENCE_S = 10.0
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(slots=True)
class _Log:
    container: str
    path: Path
    file: TextIO
    position: LogPosition = field(default_factory=LogPosition)
    task: asyncio.Task[None] | None = None


class LogCapture:
    """Follows each container from its start; `keep` or `discard` ends it.

    folder: where the files will be; until then they are in a hidden folder beside.
    """

    def __init__(self, runtime: Runtime, folder: Path, redactor: Redactor) -> None:
        self._runtime = runtime
        self._folder = folder
        self._redactor = redactor
        self._hidden = Path(tempfile.mkdtemp(prefix=HIDDEN_LOGS, dir=folder.parent))
        self._logs: dict[str, _Log] = {}
        self.problems: list[str] = []

    def engine_event(self, event: EngineEvent) -> None:
        """A container that starts is followed, from the first line that is not here yet."""
        if event.type != "container" or event.action != "start":
            return
        log = self._logs.get(event.id)
        if log is None:
            name = _UNSAFE.sub("_", event.attributes.get("name", "")) or event.id[:12]
            path = self._hidden / f"{name}.log"
            try:
                file = path.open("a", encoding="utf-8", errors="replace")
            except OSError as error:
                self.problems.append(f"{path.name}: {error.strerror}")
                return
            log = self._logs[event.id] = _Log(event.id, path, file)
        if log.task is None or log.task.done():
            log.task = asyncio.ensure_future(self._read(log, follow=True))

    async def keep(self) -> None:
        """Write what is still missing, and put the files in their place."""
        await self._end(complete=True)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for log in self._logs.values():
                os.replace(log.path, self._folder / log.path.name)
        except OSError as error:
            self.problems.append(f"{self._folder.name}: {error.strerror}")
        shutil.rmtree(self._hidden, ignore_errors=True)

    async def discard(self) -> None:
        await self._end(complete=False)
        shutil.rmtree(self._hidden, ignore_errors=True)

    async def _end(self, *, complete: bool) -> None:
        tasks = [log.task for log in self._logs.values() if log.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if complete:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    await asyncio.gather(
                        *(self._read(log, follow=False) for log in self._logs.values())
                    )
        for log in self._logs.values():
            with suppress(OSError):
                log.file.close()

    async def _read(self, log: _Log, *, follow: bool) -> None:
        if not isinstance(self._runtime, SupportsLogs):
            return
        since = log.position.begin()
        try:
            async for entry in self._runtime.logs(
                log.container, follow=follow, since=since, timestamps=True
            ):
                if log.position.take(entry.time_ns):
                    self._write(log, entry)
        except StackrError:
            return  # it was removed, or keeps no log
        except OSError as error:
            self.problems.append(f"{log.path.name}: {error.strerror}")

    def _write(self, log: _Log, entry: LogEntry) -> None:
        moment = datetime.fromtimestamp(entry.time_ns / 1e9, UTC).isoformat(timespec="milliseconds")
        line = entry.line.decode(errors="replace").rstrip("\r")
        log.file.write(f"{moment} {self._redactor.text(line)}\n")
