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
        "commit": Sub("container.files", "commit", "Make an image of a container"),
        "cp": Sub("container.files", "cp", "Copy files to and from a container"),
        "create": Sub("container.create", "create", "Make a container, and do not start it"),
        "diff": Sub("container.files", "diff", "List what a container has changed of its files"),
        "exec": Sub("container.exec", "exec_", "Run a command in a running container"),
        "export": Sub("container.files", "export", "Write a container's files as a tar archive"),
        "inspect": Sub("inspect", "inspect_container", "Describe containers"),
        "kill": Sub(_LIFE, "kill", "Send a signal to running containers"),
        "logs": Sub("container.logs", "logs", "Show what a container wrote"),
        "ls": Sub("container.ls", "ls", "List containers", ("list", "ps")),
        "pause": Sub(_LIFE, "pause", "Freeze all processes of containers"),
        "port": Sub("container.usage", "port", "List where the ports of a container answer"),
        "prune": Sub("prune", "prune_containers", "Remove all containers that do not run"),
        "rename": Sub(_LIFE, "rename", "Give a container another name"),
        "restart": Sub(_LIFE, "restart", "Stop containers, and start them again"),
        "rm": Sub(_LIFE, "rm", "Remove containers", ("remove",)),
        "run": Sub("container.run", "run", "Run a command in a new container"),
        "start": Sub("container.attach", "start", "Start containers"),
        "stats": Sub("container.usage", "stats", "Show what containers use"),
        "stop": Sub(_LIFE, "stop", "Stop running containers"),
        "top": Sub("container.usage", "top", "List the processes of a container"),
        "unpause": Sub(_LIFE, "unpause", "Let paused containers go on"),
        "update": Sub("container.update", "update", "Change the limits of containers"),
        "wait": Sub(_LIFE, "wait", "Wait until containers end, and print their exit codes"),
    },
)
