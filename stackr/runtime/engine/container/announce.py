"""Events of containers, with Docker's attributes."""

from __future__ import annotations

from collections.abc import Mapping

from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.events import EventBus

__all__ = ["announce"]


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
