"""Creates, starts, stops and removes containers without end, until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from container_engine import Engine


async def _churn(engine: Engine, name: str) -> None:
    while True:
        id = await engine.create(name, ["sleep", "600"], Volumes={"/data": {}})
        await engine.containers.start(id)
        await engine.containers.stop(id, timeout_s=0)
        await engine.containers.remove(id, volumes=True)


async def _main(root: Path) -> None:
    engine = await Engine.open(root)
    print("ready", flush=True)  # noqa: T201
    await asyncio.gather(*(_churn(engine, f"churn-{number}") for number in range(4)))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
