"""The log of a container as its driver keeps it, from its start to its end."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress

from stackr.errors import Unavailable
from stackr.runtime.engine.container.io.json_writer import JsonWriter
from stackr.runtime.engine.container.io.log_options import (
    JSON_FILE,
    LogTarget,
    attributes,
    driver,
    rotation,
)
from stackr.runtime.engine.container.io.rotated_file import RotatedFile
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.record import Container

__all__ = ["begin_log", "finish_log", "log_attributes", "log_of"]

_log = logging.getLogger(__name__)

_POLL_S = 1.0


def log_of(live: Live, parts: Parts) -> JsonWriter | None:
    """What writes the log; None where the monitor's own is the log, or there is none."""
    container, config = live.container, live.container.host_config.log_config
    if live.log is None and driver(config) == JSON_FILE:
        marks = log_attributes(container)
        live.log = JsonWriter(
            parts.storage.log_file(container),
            RotatedFile(parts.storage.json_log(container), rotation(config)),
            attrs=json.dumps(marks, separators=(",", ":"), sort_keys=True) if marks else "",
            control=parts.storage.bundle(container) / "ctl",
            turns=parts.turns,
        )
    return live.log


def log_attributes(container: Container) -> dict[str, str]:
    """What the options of the log mark each entry with."""
    target = LogTarget(container.id, container.name, container.config.image, container.image_id)
    return attributes(container.host_config.log_config, container.config, target)


def begin_log(live: Live, parts: Parts) -> None:
    """Keep it until `finish_log`."""
    writer = log_of(live, parts)
    if writer is not None:
        name = f"log {live.container.short_id}"
        live.logging = parts.tasks.start(_keep(writer, parts), name)


async def _keep(writer: JsonWriter, parts: Parts) -> None:
    while True:
        try:
            await writer.run(parts.watches)
        except Unavailable as error:  # no more files can be watched: look every now and then
            _log.info("%s", error)
        with suppress(OSError):
            await writer.catch_up()
        await asyncio.sleep(_POLL_S)


async def finish_log(live: Live, parts: Parts) -> None:
    """The container has ended: its log is whole. What cannot be written yet is kept for later."""
    task, live.logging = live.logging, None
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    writer = log_of(live, parts)
    if writer is None:
        return
    try:
        await writer.finish()
    except OSError as error:
        _log.warning("%s: not all is written: %s", writer.log.path, error)
