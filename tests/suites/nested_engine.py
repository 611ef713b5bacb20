"""A program: an engine at the folder that it is given, in whatever control group it finds itself.

Prints what a container of it sees of its limits.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from container_engine import Engine

from stackr.runtime.engine.linux import cgroup


async def main(root: Path) -> None:
    engine = await Engine.open(root)
    try:
        id = await engine.create("box", ["sleep", "600"], Memory=64 << 20, StopSignal="SIGKILL")
        await engine.containers.start(id)
        folder = cgroup.detect().root / engine.config.cgroup_parent.lstrip("/") / id
        memory = (folder / "memory.max").read_text().strip()
        code, seen = await engine.execute(id, ["cat", "/proc/self/cgroup"])
    finally:
        await engine.clear()
        await engine.close()
    await engine.assert_nothing_left()
    print(json.dumps({"memory": memory, "code": code, "seen": seen}))  # noqa: T201


asyncio.run(main(Path(sys.argv[1])))
