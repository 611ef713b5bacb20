"""What is watched while a container runs: its health, and whether it wants for memory."""

from __future__ import annotations

from functools import partial

from stackr.runtime.engine.container.announce import announce
from stackr.runtime.engine.container.health.prober import Prober, Probes
from stackr.runtime.engine.container.life.healing import Healing
from stackr.runtime.engine.container.limits.oom import watch_oom
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.state import Status

__all__ = ["Watch"]


class Watch:
    """Tasks of a `Live`, from its start to its end."""

    def __init__(self, parts: Parts, probes: Probes, healing: Healing) -> None:
        self._parts = parts
        self._probes = probes
        self._healing = healing

    def begin(self, live: Live) -> None:
        container = live.container
        if container.host_config.memory:
            parts = self._parts
            events = parts.host.cgroups.memory_events(parts.groups.path(container))
            bundle, tell = parts.storage.bundle(container), partial(self._oom, live)
            watch = watch_oom(events, bundle, parts.watches, tell)
            live.oom = parts.tasks.start(watch, f"memory {container.short_id}")
        if container.state.status is Status.RUNNING:
            self.begin_health(live)

    def begin_health(self, live: Live) -> None:
        """Where it has a health check."""
        container, parts = live.container, self._parts
        if container.state.health is None:
            return
        prober = Prober(
            container,
            probes=self._probes,
            changed=lambda: parts.store.put(container),
            publish=lambda action: announce(parts.events, container, action),
            probed=partial(self._healing.probed, live),
        )
        live.healthy_since_s = None
        live.health = parts.tasks.start(prober.run(), f"health {container.short_id}")
        self._healing.go_on(live)

    def end_health(self, live: Live) -> None:
        if live.health is not None:
            live.health.cancel()
            live.health = None

    def end(self, live: Live) -> None:
        self.end_health(live)
        if live.oom is not None:
            live.oom.cancel()
            live.oom = None

    def close(self) -> None:
        self._probes.close()

    def _oom(self, live: Live) -> None:
        live.had_oom = True
        announce(self._parts.events, live.container, "oom")
