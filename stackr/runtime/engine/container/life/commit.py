"""A container's files and settings while an image is made of it.

A running container is frozen meanwhile where that is asked; its record says so, as a daemon that is
killed in between must let it go on at its next start (`adoption.py`). One that does not run is kept
from starting and from being removed. Source: Docker Engine API, "ImageCommit".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from stackr.errors import Conflict, InvalidArgument
from stackr.runtime.engine.container.life.stopping import Stopping, is_running
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.container.settings.merge import merge_config
from stackr.runtime.engine.container.settings.spec import Config

__all__ = ["FrozenContainer", "frozen", "image_settings"]

_IMAGE_KEYS: Final = (
    *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels"),
    *("StopSignal", "Healthcheck", "Shell", "OnBuild"),
)


@dataclass(frozen=True, slots=True)
class FrozenContainer:
    """check: raises Conflict where the container has been removed meanwhile."""

    container: Container
    upper: Path
    check: Callable[[], None]


@asynccontextmanager
async def frozen(
    live: Live, parts: Parts, stopping: Stopping, *, pause: bool
) -> AsyncIterator[FrozenContainer]:
    """The container, of which nothing changes within the block; not so without `pause`.

    Raises Conflict, with Docker's text, for one that is being removed.
    """
    container = live.container

    def check() -> None:
        gone = container.id not in parts.lives or container.state.status is Status.REMOVING
        if gone or container.state.status is Status.DEAD:
            raise Conflict(f"You cannot commit container {container.id} which is being removed")

    await live.settled()
    check()
    found = FrozenContainer(container, parts.snapshots.upper_directory(container.id), check)
    is_paused = False
    if pause and container.state.status is Status.RUNNING:
        is_paused = await _pause(live, parts, stopping)
    try:
        if container.state.status.is_up:
            yield found
        else:
            async with live.lock:
                check()
                yield found
    finally:
        if is_paused:
            await _go_on(live, parts, stopping)


async def _pause(live: Live, parts: Parts, stopping: Stopping) -> bool:
    """Whether it is paused: not so where it ended just now, or somebody else has paused it."""
    exited = live.exited.future()
    parts.store.intend(live.container, "unpause")
    try:
        await stopping.pause(live)
        return True
    except Conflict:
        if not is_running(live.container) and live.container.state.status.is_up:
            await exited  # its end is about to be noticed
        return False
    finally:
        exited.cancel()
        if live.container.state.status is not Status.PAUSED:
            parts.store.intend(live.container, "")


async def _go_on(live: Live, parts: Parts, stopping: Stopping) -> None:
    with suppress(Conflict):  # it has ended, or somebody else has let it go on
        await stopping.unpause(live)
    if live.container.id in parts.lives:
        parts.store.intend(live.container, "")


def image_settings(container: Container, given: Mapping[str, Any]) -> dict[str, Any]:
    """The container's settings as those of an image, under `given` ones of the same keys.

    Raises InvalidArgument for malformed ones.
    """
    own = container.config.to_record()
    try:
        merged = merge_config(Config.model_validate(dict(given)), own)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidArgument(f"invalid config: {where}: {first['msg']}") from error
    record = merged.to_record()
    return {key: record[key] for key in _IMAGE_KEYS if record.get(key)}
