"""Top-level `secrets` and `configs`: files that services are granted."""

from typing import Annotated

from stackr.spec import paths
from stackr.spec.attribute import IsPath
from stackr.spec.model.base import Model
from stackr.spec.model.types import Flag
from stackr.spec.values import STRING_MAP


class FileObject(Model):
    """A config or a secret.

    The bytes come from `file` (an absolute path) or are `content`, which is filled in when the
    source is an `environment` variable that is set. `external` objects are held by the engine.
    """

    name: str | None = None
    file: Annotated[str | None, IsPath(paths.maybe_windows)] = None
    environment: str | None = None
    content: str | None = None
    external: Flag = False
    labels: dict[str, str] = {}
    driver: str | None = None
    driver_opts: Annotated[dict[str, str], STRING_MAP] = {}
    template_driver: str | None = None
