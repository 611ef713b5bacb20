"""Top-level `secrets` and `configs`: files that services are granted."""

from __future__ import annotations

from stackr.spec.model.base import Model


class FileObject(Model):
    """A config or a secret.

    The bytes come from `file` (an absolute path) or are `content`, which is filled in when the
    source is an `environment` variable that is set. `external` objects are held by the engine.
    """

    name: str | None = None
    file: str | None = None
    environment: str | None = None
    content: str | None = None
    external: bool = False
    labels: dict[str, str] = {}
    driver: str | None = None
    driver_opts: dict[str, str] = {}
    template_driver: str | None = None
