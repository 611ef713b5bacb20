"""`stackr system`: an engine as a whole."""

from __future__ import annotations

from stackr.cli.objects.group import ObjectGroup, Sub

__all__ = ["system"]

system = ObjectGroup(
    "system",
    "The engine as a whole, as with the docker CLI.",
    {
        "df": Sub("system.df", "df", "Show what the engine's things take on disk"),
        "dial-stdio": Sub("system.dial_stdio", "dial_stdio", "Lead the engine's API over ssh"),
        "events": Sub("system.events", "events", "Show what happens to the engine's things"),
        "info": Sub("system.info", "info", "Show what the engine is and has"),
        "prune": Sub("system.prune", "prune", "Remove all that nothing uses"),
    },
)
