"""Opens the parts of an engine in order, and gives each what it needs of the others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import stat

from stackr.errors import StackrError
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.metrics import ROUTES as METRICS
from stackr.runtime.engine.api.metrics import ActionTimes
from stackr.runtime.engine.api.server import Server
from stackr.runtime.engine.build.cache import BuildCache
from stackr.runtime.engine.build.entry import Builds
from stackr.runtime.engine.build.folders import BuildFolders
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container.records.lost import (
    is_readable,
    restore_records,
    running_without_record,
)
from stackr.runtime.engine.container.service import Containers
from stackr.runtime.engine.container.wiring import make_containers
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.identity import engine_id
from stackr.runtime.engine.image.service import Images
from stackr.runtime.engine.late_imports import LateImports
from stackr.runtime.engine.launch import LISTEN_AGAIN, is_running
from stackr.runtime.engine.lease.removal import Resources
from stackr.runtime.engine.lease.service import Leases
from stackr.runtime.engine.listening import Listening, open_to_group
from stackr.runtime.engine.lock import DataRootLock
from stackr.runtime.engine.network.service import Networks
from stackr.runtime.engine.project_locks import ProjectLocks
from stackr.runtime.engine.reload import reload_options
from stackr.runtime.engine.roots import close_to_others, make_root, make_way
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.state import State
from stackr.runtime.engine.volume import Volumes

__all__ = ["open_engine"]

_log = logging.getLogger("stackr.engine")
_LOCK_WAIT_S = 10.0


async def open_engine(config: EngineConfig, parts: contextlib.AsyncExitStack) -> None:
    """Open every part, each of which pushes its own end on `parts`."""
    roots = (config.data_root, config.exec_root)
    for root in roots:
        make_root(root)
    lock = DataRootLock.acquire(config.data_root, timeout_s=_LOCK_WAIT_S)
    parts.callback(lock.release)
    make_way(config.socket, stat.S_ISSOCK)
    listening = Listening.open(config)
    parts.callback(listening.close)
    state = State.open(config.database)
    parts.callback(state.close)
    restore_records(config, state)
    events = EventBus()
    snapshots = Overlay(config, state)
    late = LateImports()
    images = Images(config, state, events, snapshots, late)
    networks = Networks(config, state, events)
    volumes = Volumes(config, state, events)
    await asyncio.to_thread(snapshots.open)
    cache = BuildCache(state, snapshots, BuildFolders.of(config).mounts)
    cache.open()
    images.keep_layers(cache.layers)
    await images.open()
    parts.push_async_callback(images.close)
    await volumes.open()
    unknown = running_without_record(config, lambda id: is_readable(state.get("container", id)))
    await networks.open(keep=bool(unknown))
    parts.push_async_callback(networks.close)
    locks = ProjectLocks()
    containers = await make_containers(
        config, state, events, images, snapshots, networks, volumes, locks
    )
    parts.push_async_callback(_end_containers, config, containers)
    leases = Leases(state, events, Resources(containers, networks, volumes))
    leases.restore()
    await containers.open()
    await networks.settle()
    builds = Builds(config, images, snapshots, containers, cache, late)
    await builds.open()
    leases.open()
    parts.push_async_callback(leases.close)
    await leases.settle()
    times = ActionTimes()
    engine = Engine(
        config=config,
        id=engine_id(config.data_root),
        events=events,
        images=images,
        networks=networks,
        volumes=volumes,
        containers=containers,
        builds=builds,
        execs=containers.execs,
        leases=leases,
        locks=locks,
        action_times=times,
        warnings=lambda: state.warnings,
    )
    server = Server(
        engine,
        listening.own,
        listening.further,
        listening.group,
        took=times.add,
        least_version=config.options.least_version,
    )
    await server.open()
    parts.push_async_callback(server.close)
    await _open_metrics(engine, listening, parts)
    for root in roots:
        close_to_others(root)
    open_to_group(config, listening.group)

    def listen_again() -> None:
        """A client found nobody at the socket: it was removed, or all of the exec root."""
        if is_running(config):
            return
        try:
            lock.renew()
            make_root(config.exec_root)
            make_way(config.socket, stat.S_ISSOCK)
            server.reopen(config.socket)
            open_to_group(config, listening.group)
            _log.warning("%s: was removed: it is there again", config.socket)
        except (StackrError, OSError) as error:
            _log.error("%s: cannot be made again: %s", config.socket, error)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(LISTEN_AGAIN, listen_again)
    loop.add_signal_handler(signal.SIGHUP, reload_options, config, engine.id, events)


async def _end_containers(config: EngineConfig, containers: Containers) -> None:
    """Without `live-restore`, the daemon's end is theirs, but for a time that is over."""
    if not config.options.live_restore:
        await containers.shut_down(config.options.shutdown_timeout)
    await containers.close()


async def _open_metrics(
    engine: Engine, listening: Listening, parts: contextlib.AsyncExitStack
) -> None:
    if listening.metrics:
        first, *further = listening.metrics
        server = Server(engine, first, further, routes=METRICS)
        await server.open()
        parts.push_async_callback(server.close)
