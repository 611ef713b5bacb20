"""What the parts of the image service share."""

from __future__ import annotations

from dataclasses import dataclass

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.packing import Packing
from stackr.runtime.engine.image.retention import Retention
from stackr.runtime.engine.image.settling import Settling
from stackr.runtime.engine.image.store import ImageStore
from stackr.runtime.engine.image.unpack import Unpacker
from stackr.runtime.engine.late_imports import LateImports
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.state import State

__all__ = ["Parts"]


@dataclass(frozen=True, slots=True)
class Parts:
    """Made once, by the service."""

    config: EngineConfig
    state: State
    events: EventBus
    snapshots: Overlay
    content: ContentStore
    unpacker: Unpacker
    store: ImageStore
    retention: Retention
    packing: Packing
    settling: Settling
    late: LateImports

    @classmethod
    def of(
        cls,
        config: EngineConfig,
        state: State,
        events: EventBus,
        snapshots: Overlay,
        late: LateImports,
    ) -> Parts:
        """Those of an engine."""
        content, store = ContentStore(config.content_root), ImageStore(state, events, snapshots)
        return cls(
            config=config,
            state=state,
            events=events,
            snapshots=snapshots,
            content=content,
            unpacker=Unpacker(snapshots),
            store=store,
            retention=Retention(content, snapshots, store.blobs),
            packing=Packing(store, content, snapshots),
            settling=Settling(snapshots),
            late=late,
        )
