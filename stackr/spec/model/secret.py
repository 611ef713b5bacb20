"""Top-level `secrets` and `configs`: files that services are granted."""

from typing import Annotated

from stackr.spec import paths
from stackr.spec.attribute import IsPath, inert, partly, refused, supported, swarm
from stackr.spec.model.base import Model
from stackr.spec.model.types import Flag
from stackr.spec.values import STRING_MAP

_NONE_KEPT = "the engine keeps none of its own"
_REFUSED = refused(_NONE_KEPT)
_KEPT = swarm(supported())


class FileObject(Model):
    """A config or a secret.

    The bytes come from `file` (an absolute path) or are `content`, which is filled in when the
    source is an `environment` variable that is set. `external` objects are held by the engine.
    """

    name: str | None = None
    file: Annotated[str | None, IsPath(paths.maybe_windows)] = None
    environment: str | None = None
    content: str | None = None
    external: Annotated[Flag, partly(_NONE_KEPT, bool), _KEPT] = False
    labels: Annotated[
        dict[str, str],
        inert("of a cluster; Docker Compose on one host has no use for it either"),
        _KEPT,
    ] = {}
    driver: Annotated[str | None, _REFUSED, _KEPT] = None
    driver_opts: Annotated[dict[str, str], STRING_MAP, _REFUSED, _KEPT] = {}
    template_driver: Annotated[str | None, _REFUSED, _KEPT] = None
