"""Layers -> snapshots: one confined process per layer, as many at a time as there are cores.

The blob is complete and verified before a process sees it; the process verifies the diff ID.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import stackr
from stackr.errors import Internal, InvalidArgument
from stackr.runtime.engine.archive.tarstream import Limits
from stackr.runtime.engine.snapshot.overlay import Layer, Overlay, RootAttributes

__all__ = ["Unpacker"]

_MODULE: Final = "stackr.runtime.engine.archive.unpacker"
_PACKAGES: Final = str(Path(stackr.__file__).resolve().parent.parent)
_ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": _PACKAGES,
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Unpacker:
    """Unpacks verified layer blobs into a snapshotter."""

    def __init__(self, snapshots: Overlay, limits: Limits | None = None) -> None:
        self._snapshots = snapshots
        self._limits = limits or Limits()
        self._slots = asyncio.Semaphore(max(2, os.cpu_count() or 1))

    async def unpack(
        self, blob: Path, *, diff_id: str, on_read: Callable[[int], None] | None = None
    ) -> Layer:
        """The layer of `diff_id`, unpacked from `blob`, unless it is there already.

        on_read: called with the bytes of the blob read so far. Raises InvalidArgument for an
        archive that is damaged, hostile or not what `diff_id` says, Internal where the host fails
        (a full disk); nothing is left of it then, nor after a cancellation.
        """
        async with self._slots:
            present = self._snapshots.layer(diff_id)
            if present is not None:
                return present
            target = self._snapshots.begin_layer()
            try:
                done = await self._run(blob, target, diff_id, on_read)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(self._snapshots.abort_layer, target))
                raise
            root = RootAttributes(**done["root"]) if done["root"] else None
            return self._snapshots.commit_layer(
                target, diff_id=diff_id, size_bytes=done["size_bytes"], root=root
            )

    async def _run(
        self, blob: Path, target: Path, diff_id: str, on_read: Callable[[int], None] | None
    ) -> dict[str, Any]:
        request = json.dumps({"diff_id": diff_id, "limits": asdict(self._limits)})
        stdin = os.open(blob, os.O_RDONLY | os.O_CLOEXEC)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", _MODULE, request),
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=target,
                env=_ENVIRONMENT,
            )
        finally:
            os.close(stdin)
        try:
            answer = await _answer(process, on_read)
        except BaseException:
            if process.returncode is None:
                process.kill()
            await asyncio.shield(process.wait())
            raise
        if "failure" in answer:
            reason = f"{target.parent}: {answer['failure']}"
            raise Internal(f"layer {diff_id}: cannot be unpacked: {reason}")
        if "error" in answer:
            raise InvalidArgument(f"layer {diff_id}: {answer['error']}")
        done: dict[str, Any] = answer["done"]
        return done


async def _answer(
    process: asyncio.subprocess.Process, on_read: Callable[[int], None] | None
) -> dict[str, Any]:
    """The last line that the process wrote; progress lines go to `on_read`."""
    assert process.stdout is not None
    assert process.stderr is not None
    async for line in process.stdout:
        answer: dict[str, Any] = json.loads(line)
        if "read" not in answer:
            await process.wait()
            return answer
        if on_read is not None:
            on_read(answer["read"])
    error = (await process.stderr.read()).decode(errors="replace").strip()
    code = await process.wait()
    last = error.splitlines()[-1][:500] if error else "no output"
    raise Internal(f"unpacker: exit code {code}: {last}")
