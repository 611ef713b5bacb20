"""What the containers' services are made of: one frozen set an engine, which `wiring.py` makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container.host import Host
from stackr.runtime.engine.container.io.turns import Turns
from stackr.runtime.engine.container.limits.groups import Groups
from stackr.runtime.engine.container.needs import ImageSource, NetworkAccess
from stackr.runtime.engine.container.oci.monitor import Monitor
from stackr.runtime.engine.container.oci.runtime import OciRuntime
from stackr.runtime.engine.container.records.live import Live, Tasks
from stackr.runtime.engine.container.records.store import Store
from stackr.runtime.engine.container.storage.storage import Storage
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.linux.descriptors import Descriptors
from stackr.runtime.engine.linux.inotify import FileWatches
from stackr.runtime.engine.linux.launcher_client import Launcher
from stackr.runtime.engine.project_locks import ProjectLocks
from stackr.runtime.engine.snapshot.overlay import Overlay

__all__ = ["Parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """lives: the containers as this process holds them, by ID. tasks: what goes on in the
    background. turns: of what reads and writes logs. note: tells what a user should know of.
    locks: which projects a command changes now.
    """

    config: EngineConfig
    host: Host
    events: EventBus
    images: ImageSource
    snapshots: Overlay
    networks: NetworkAccess
    store: Store
    storage: Storage
    groups: Groups
    launcher: Launcher
    runtime: OciRuntime
    monitor: Monitor
    watches: FileWatches
    descriptors: Descriptors
    lives: dict[str, Live]
    tasks: Tasks
    turns: Turns
    note: Callable[[str], None]
    locks: ProjectLocks
