"""Top-level `volumes`."""

from typing import Annotated

from stackr.spec import merge
from stackr.spec.attribute import KEYED, Merge, only, supported, swarm
from stackr.spec.model.base import Model
from stackr.spec.model.types import Flag, Options


class Volume(Model):
    """A volume; `name` is the engine's name of it, `external` means that it has to exist."""

    name: str | None = None
    driver: Annotated[
        str | None,
        only("local", "default", note="local"),
        swarm(supported("whatever the nodes have")),
    ] = None
    driver_opts: Annotated[Options, KEYED] = {}
    external: Flag = False
    labels: Annotated[dict[str, str], Merge(merge.sequence), KEYED] = {}
