"""The commands: where each lives, and the line that `stackr --help` shows for it.

Only the module of the command that was asked for is imported. A module in `stackr.cli.commands` has
a function of the context and its options (`stackr.cli.declared.takes`), or a `typer.Typer` of
sub-commands, under the attribute named here; what the function returns is the exit code. A module
may set how click reads its words in `CONTEXT_SETTINGS`. `stackr.cli.options.options_of(ctx)` gives
it the options that all commands share.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMMANDS", "NO_JSON", "REFUSED", "Entry", "sections"]


class Entry(NamedTuple):
    """One command: its module in `stackr.cli.commands`, the attribute in it, its help line."""

    module: str
    attribute: str
    help: str


COMMANDS: dict[str, Entry] = {
    "up": Entry("up", "up", "Create and start the stack"),
    "create": Entry("create", "create", "Create the stack's containers, and start none"),
    "scale": Entry("scale", "scale", "Change how many containers services have"),
    "apply": Entry("apply", "apply", "Carry out a plan that diff --out has saved"),
    "history": Entry("history", "history", "List the stack's revisions"),
    "rollback": Entry("history", "rollback", "Bring the stack back to an earlier revision"),
    "down": Entry("down", "down", "Stop and remove the stack's containers and networks"),
    "diff": Entry("diff", "diff", "Show what up would change, field by field"),
    "test": Entry("test", "environment", "Run a command beside a temporary copy of the stack"),
    "ps": Entry("ps", "ps", "List the stack's containers"),
    "logs": Entry("logs", "logs", "Show the output of containers"),
    "config": Entry("config", "config", "Check the stack file, and print it resolved"),
    "explain": Entry("explain", "explain", "Show where a value of the stack comes from"),
    "build": Entry("build", "build", "Build the services' images"),
    "pull": Entry("pull", "pull", "Pull the services' images"),
    "push": Entry("push", "push", "Push the services' images to their registries"),
    "start": Entry("lifecycle", "start", "Start existing containers"),
    "stop": Entry("lifecycle", "stop", "Stop running containers, and keep them"),
    "restart": Entry("lifecycle", "restart", "Stop and start containers"),
    "pause": Entry("lifecycle", "pause", "Freeze running containers"),
    "unpause": Entry("lifecycle", "unpause", "Let paused containers go on"),
    "kill": Entry("lifecycle", "kill", "Send a signal to containers"),
    "rm": Entry("lifecycle", "rm", "Remove stopped containers"),
    "run": Entry("run", "run", "Run a command in a new container of a service"),
    "exec": Entry("exec", "exec_", "Run a command in a running container"),
    "attach": Entry("attach", "attach", "Join a running container's own streams"),
    "cp": Entry("cp", "cp", "Copy files to and from containers"),
    "export": Entry("export", "export", "Write a container's files as a tar archive"),
    "commit": Entry("commit", "commit", "Make an image of a container"),
    "port": Entry("port", "port", "Print the public address of a container's port"),
    "env": Entry("env", "env", "Print where the stack's ports answer, as variables"),
    "container": Entry("container", "container", "Single containers, as with the docker CLI"),
    "system": Entry("system", "system", "The engine as a whole, as with the docker CLI"),
    "login": Entry("login", "login", "Keep a user's password for a registry"),
    "logout": Entry("logout", "logout", "Forget the credentials for a registry"),
    "inspect": Entry("inspect", "inspect", "Describe containers, images, networks and volumes"),
    "images": Entry("images", "images", "List the images of the stack's containers"),
    "image": Entry("image", "image", "Single images, as with the docker CLI"),
    "builder": Entry("builder", "builder", "The build cache, as with the docker CLI"),
    "network": Entry("network", "network", "Single networks, as with the docker CLI"),
    "volume": Entry("volume", "volume", "Single volumes, as with the docker CLI"),
    "volumes": Entry("volumes", "volumes", "List the stack's volumes"),
    "top": Entry("top", "top", "List the processes of the stack's containers"),
    "events": Entry("events", "events", "Show what happens to the stack's containers"),
    "stats": Entry("stats", "stats", "Show what the stack's containers use"),
    "wait": Entry("wait", "wait", "Wait until services' containers have ended"),
    "watch": Entry("watch", "watch", "Follow changes of source files into containers"),
    "ui": Entry("ui", "ui", "Show the stack on a full screen, and work on it there"),
    "graph": Entry("graph", "graph", "Show what depends on what"),
    "ls": Entry("ls", "ls", "List projects"),
    "engine": Entry("engine", "engine", "Start, stop and look at the embedded engine"),
    "doctor": Entry("doctor", "doctor", "Check what the embedded engine needs of this host"),
    "completion": Entry("completion", "completion", "Print a shell's completion script"),
    "version": Entry("version", "version", "Show the versions of stackr and of the engine"),
}

_SECTIONS: dict[str, tuple[str, ...]] = {
    "Every day": (
        *("up", "down", "ps", "logs", "exec", "run", "watch", "start", "stop", "restart"),
        *("create", "scale", "attach", "cp", "kill", "pause", "unpause", "rm", "wait"),
    ),
    "Plan and history": ("diff", "apply", "history", "rollback", "config", "explain", "graph"),
    "Test": ("test",),
    "Inspect": (
        *("ls", "ui", "port", "env", "top", "stats", "events", "images", "volumes"),
        *("container", "inspect", "export", "commit"),
    ),
    "Engine and images": (
        *("build", "pull", "push", "login", "logout", "image", "builder", "network", "volume"),
        *("system", "engine", "doctor", "completion", "version"),
    ),
}


def sections() -> dict[str, list[str]]:
    """The commands' names by what they are for; the last heading has those that none names."""
    named = {name for names in _SECTIONS.values() for name in names}
    found = {title: [n for n in names if n in COMMANDS] for title, names in _SECTIONS.items()}
    found["Engine and images"] += [name for name in COMMANDS if name not in named]
    return found


NO_JSON: dict[str, str] = {
    "ui": "its output is a screen",
    "attach": "its output is the program's",
    "exec": "its output is the program's",
    "run": "its output is the program's",
    "export": "its output is an archive",
    "logs": "its output is the containers'",
    "container": "its commands have --format json",
    "image": "its commands, but for prune --build-cache, have --format json",
    "builder": "its command prune has it",
    "network": "its commands have --format json",
    "volume": "its commands have --format json",
    "system": "its commands have --format json",
    "inspect": "its output is JSON",
    "login": "it has no result",
    "logout": "it has no result",
    "completion": "its output is a script",
    "engine logs": "its output is the engine's log",
    "engine run": "its output is the engine's log",
    "engine restart": "it tells its steps",
    "engine install": "it tells its steps",
    "engine uninstall": "it tells its steps",
}
"""Commands whose output is not stackr's own, and has no other form."""

REFUSED: dict[str, str] = {
    "publish": "stackr publishes no stack files",
    "bridge": "stackr converts stack files to no other format",
    "convert": "it is called config",
}
"""Docker Compose's commands that stackr has not, and why."""
