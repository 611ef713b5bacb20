"""`stackr volume`: single volumes, whatever project they are of."""

from __future__ import annotations

from stackr.cli.objects.group import ObjectGroup, Sub

__all__ = ["volume"]

volume = ObjectGroup(
    "volume",
    "Single volumes, as with the docker CLI.",
    {
        "create": Sub("volume", "create", "Make a volume"),
        "inspect": Sub("inspect", "inspect_volume", "Describe volumes"),
        "ls": Sub("volume", "ls", "List volumes", ("list",)),
        "prune": Sub("prune", "prune_volumes", "Remove volumes that no container uses"),
        "rm": Sub("volume", "rm", "Remove volumes", ("remove",)),
    },
    {"update": "it is for volumes of clusters"},
)
