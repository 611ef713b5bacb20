"""Events of containers, with Docker's attributes."""

from __future__ import annotations

from collections.abc import Mapping

from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.events import EventBus

__all__ = ["announce", "announce_mounts"]


def announce(
    events: EventBus, container: Container, action: str, extra: Mapping[str, str] | None = None
) -> None:
    """Tell of what has happened: with the container's labels, image and name."""
    attributes = {
        **container.config.labels,
        "image": container.config.image,
        "name": container.name,
        **(extra or {}),
    }
    events.publish("container", action, container.id, attributes)


def announce_mounts(events: EventBus, container: Container, action: str) -> None:
    """Tell of each volume that is mounted (`mount`), or no longer (`unmount`)."""
    for mount in container.mounts:
        if mount.type != "volume":
            continue
        attributes = {"container": container.id, "driver": mount.driver or "local"}
        if action == "mount":
            attributes |= {
                "destination": mount.destination,
                "propagation": mount.propagation,
                "read/write": str(mount.rw).lower(),
            }
        events.publish("volume", action, mount.name, attributes)
