"""`stackr network`: single networks, whatever project they are of."""

from __future__ import annotations

from stackr.cli.objects.group import ObjectGroup, Sub

__all__ = ["network"]

network = ObjectGroup(
    "network",
    "Single networks, as with the docker CLI.",
    {
        "connect": Sub("network", "connect", "Let a container join a network"),
        "create": Sub("network", "create", "Make a network"),
        "disconnect": Sub("network", "disconnect", "Let a container leave a network"),
        "inspect": Sub("inspect", "inspect_network", "Describe networks"),
        "ls": Sub("network", "ls", "List networks", ("list",)),
        "prune": Sub("prune", "prune_networks", "Remove all networks that no container uses"),
        "rm": Sub("network", "rm", "Remove networks", ("remove",)),
    },
)
