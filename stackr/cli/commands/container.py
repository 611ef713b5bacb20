"""`stackr container`: single containers, whatever project they are of."""

from __future__ import annotations

from stackr.cli.objects.group import ObjectGroup, Sub

__all__ = ["container"]

_LIFE = "container.lifecycle"

container = ObjectGroup(
    "container",
    "Single containers, as with the docker CLI.",
    {
        "inspect": Sub("inspect", "inspect_container", "Describe containers"),
        "kill": Sub(_LIFE, "kill", "Send a signal to running containers"),
        "ls": Sub("container.ls", "ls", "List containers", ("list", "ps")),
        "pause": Sub(_LIFE, "pause", "Freeze all processes of containers"),
        "rename": Sub(_LIFE, "rename", "Give a container another name"),
        "restart": Sub(_LIFE, "restart", "Stop containers, and start them again"),
        "rm": Sub(_LIFE, "rm", "Remove containers", ("remove",)),
        "stop": Sub(_LIFE, "stop", "Stop running containers"),
        "unpause": Sub(_LIFE, "unpause", "Let paused containers go on"),
        "wait": Sub(_LIFE, "wait", "Wait until containers end, and print their exit codes"),
    },
)
