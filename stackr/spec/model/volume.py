"""Top-level `volumes`."""

from __future__ import annotations

from stackr.spec.model.base import Model


class Volume(Model):
    """A volume; `name` is the engine's name of it, `external` means that it has to exist."""

    name: str | None = None
    driver: str | None = None
    driver_opts: dict[str, str] = {}
    external: bool = False
    labels: dict[str, str] = {}
