"""`stackr container`: single containers, whatever project they are of."""

from __future__ import annotations

from stackr.cli.objects.group import ObjectGroup, Sub

__all__ = ["container"]

_LIFE = "container.lifecycle"

container = ObjectGroup(
    "container",
    "Single containers, as with the docker CLI.",
    {
        "attach": Sub("container.attach", "attach", "Join the streams of a running container"),
        "create": Sub("container.create", "create", "Make a container, and do not start it"),
        "exec": Sub("container.exec", "exec_", "Run a command in a running container"),
        "inspect": Sub("inspect", "inspect_container", "Describe containers"),
        "kill": Sub(_LIFE, "kill", "Send a signal to running containers"),
        "logs": Sub("container.logs", "logs", "Show what a container wrote"),
        "ls": Sub("container.ls", "ls", "List containers", ("list", "ps")),
        "pause": Sub(_LIFE, "pause", "Freeze all processes of containers"),
        "rename": Sub(_LIFE, "rename", "Give a container another name"),
        "restart": Sub(_LIFE, "restart", "Stop containers, and start them again"),
        "rm": Sub(_LIFE, "rm", "Remove containers", ("remove",)),
        "run": Sub("container.run", "run", "Run a command in a new container"),
        "start": Sub("container.attach", "start", "Start containers"),
        "stop": Sub(_LIFE, "stop", "Stop running containers"),
        "unpause": Sub(_LIFE, "unpause", "Let paused containers go on"),
        "wait": Sub(_LIFE, "wait", "Wait until containers end, and print their exit codes"),
    },
)
