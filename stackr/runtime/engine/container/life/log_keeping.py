"""The log of a container as its driver keeps it, from its start to its end."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from stackr.errors import Unavailable
from stackr.runtime.engine.container.io.deliveries import Origin
from stackr.runtime.engine.container.io.json_writer import JsonWriter
from stackr.runtime.engine.container.io.log_options import (
    LOCAL,
    NONE,
    LogTarget,
    attributes,
    buffer_bytes,
    destination,
    driver,
    is_cached,
    rotation,
    tag_of,
)
from stackr.runtime.engine.container.io.log_sender import LogSender
from stackr.runtime.engine.container.io.rotated_file import RotatedFile
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.record import Container

__all__ = ["begin_log", "drop_log", "finish_log", "log_attributes", "log_of", "settle_log"]

_log = logging.getLogger(__name__)

_POLL_S = 1.0
_AT_ONCE = 4 << 20


def log_of(live: Live, parts: Parts) -> JsonWriter | None:
    """What writes the log; None where the monitor's own is the log, or there is none."""
    container, config = live.container, live.container.host_config.log_config
    if live.log is None and driver(config) not in (LOCAL, NONE):
        marks = log_attributes(container)
        live.log = JsonWriter(
            parts.storage.log_file(container),
            RotatedFile(parts.storage.json_log(container), rotation(config)),
            attrs=json.dumps(marks, separators=(",", ":"), sort_keys=True) if marks else "",
            control=parts.storage.bundle(container) / "ctl",
            turns=parts.turns,
            sender=_sender(container, parts),
            keeps=is_cached(config),
        )
        live.log.make_way()
    return live.log


def _sender(container: Container, parts: Parts) -> LogSender | None:
    """Of a driver that sends the log elsewhere."""
    config = container.host_config.log_config
    found = destination(config)
    if found is None:
        return None
    address, encode = found
    marks = {name: text for name, text in log_attributes(container).items() if name != "tag"}
    origin = Origin(
        id=container.id,
        name=container.name,
        image=container.config.image,
        image_id=container.image_id,
        command=" ".join(container.command),
        created=datetime.fromtimestamp(container.created_ns / 1e9, UTC).isoformat(),
        tag=tag_of(config, _target(container)),
        marks=marks,
    )
    return LogSender(
        address,
        partial(encode, origin),
        start=parts.tasks.start,
        buffer_bytes=buffer_bytes(config),
    )


def log_attributes(container: Container) -> dict[str, str]:
    """What the options of the log mark each entry with."""
    return attributes(container.host_config.log_config, container.config, _target(container))


def _target(container: Container) -> LogTarget:
    return LogTarget(container.id, container.name, container.config.image, container.image_id)


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
        except (Unavailable, OSError) as error:  # it cannot be watched: look every now and then
            _log.info("log of %s: %s", writer.log.path, error)
        with suppress(OSError):
            await writer.catch_up()
        await asyncio.sleep(_POLL_S)


async def finish_log(live: Live, parts: Parts) -> None:
    """The container has ended: its log is whole, or is made so in the background, where much is
    left of a container that wrote faster than it was read.
    """
    await drop_log(live)
    writer = log_of(live, parts)
    if writer is None:
        return
    if _backlog(writer) > _AT_ONCE:
        name = f"log {live.container.short_id}"
        live.logging = parts.tasks.start(_finish(writer), name)
    else:
        await _finish(writer)


def _backlog(writer: JsonWriter) -> int:
    """0 where it cannot be told: that is no reason not to see the container's end."""
    try:
        return writer.backlog()
    except OSError as error:
        _log.warning("%s: cannot be read: %s", writer.log.path, error)
        return 0


async def settle_log(live: Live) -> None:
    """Before the next start: what the last one has written is in the log."""
    task, live.logging = live.logging, None
    if task is not None:
        await asyncio.gather(task, return_exceptions=True)


async def drop_log(live: Live) -> None:
    """Take over no more: the container has ended, or goes, and its log with it."""
    task, live.logging = live.logging, None
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _finish(writer: JsonWriter) -> None:
    """What cannot be written yet is kept for later."""
    try:
        await writer.finish()
    except OSError as error:
        _log.warning("%s: not all is written: %s", writer.log.path, error)
