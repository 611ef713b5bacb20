"""`stackr builder`: what builds have left in the engine."""

from __future__ import annotations

from stackr.cli.objects.group import ObjectGroup, Sub

__all__ = ["builder"]

builder = ObjectGroup(
    "builder",
    "The build cache, as with the docker CLI.",
    {"prune": Sub("builder", "prune", "Remove what builds have left", takes_json=True)},
)
