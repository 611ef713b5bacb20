"""What a cluster's tasks have written, kept in a file for each replica and the node that it was on.

The cluster keeps the output of tasks that have ended, as long as it keeps those, so that nothing
has to be followed. Secrets are masked before a line is written.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from pathlib import Path

from stackr.errors import StackrError
from stackr.planner.workloads.document import key_of
from stackr.planner.workloads.removal import services_of
from stackr.runtime.workloads import ObservedDocument, TaskLogEntry, Workloads
from stackr.stack.log_read import moment_of, text_of
from stackr.stack.testenv.evidence import PATIENCE_S
from stackr.stack.testenv.redaction import Redactor
from stackr.stack.workloads.tasks import replica_name

__all__ = ["ClusterLogs"]

_UNSAFE = re.compile(r"[^A-Za-z0-9_.@-]")


class ClusterLogs:
    """See `site.Logs`."""

    def __init__(self, cluster: Workloads, project: str, folder: Path, redactor: Redactor) -> None:
        self._cluster = cluster
        self._project = project
        self._folder = folder
        self._redactor = redactor
        self.problems: list[str] = []

    async def keep(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                observation = await self._cluster.observe(self._project)
                self._folder.mkdir(parents=True, exist_ok=True)
                await asyncio.gather(*map(self._read, services_of(observation)))
        except (StackrError, TimeoutError) as error:
            self.problems.append(f"logs: {getattr(error, 'message', '') or 'no answer in time'}")
        except OSError as error:
            self.problems.append(f"{self._folder.name}: {error.strerror}")

    async def discard(self) -> None:
        """There is nothing yet."""

    async def _read(self, document: ObservedDocument) -> None:
        """Of several tasks of a replica on one node, one after the other."""
        found: defaultdict[str, list[TaskLogEntry]] = defaultdict(list)
        async for entry in self._cluster.logs(document.id, timestamps=True):
            found[replica_name(key_of(document), entry.slot, entry.node)].append(entry)
        for name, entries in found.items():
            entries.sort(key=lambda entry: entry.time_ns)
            lines = [
                f"{moment_of(each)} {self._redactor.text(text_of(each))}\n" for each in entries
            ]
            path = self._folder / f"{_UNSAFE.sub('_', name)}.log"
            path.write_text("".join(lines), encoding="utf-8", errors="replace")
