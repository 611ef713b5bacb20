"""Which command is meant by a word that is none: by its letters, or by what other tools call it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from stackr.cli.registry import COMMANDS

__all__ = ["nearest_command"]

_MEANINGS: Mapping[str, str] = {
    **dict.fromkeys(("plan", "preview", "changes", "compare", "drift"), "diff"),
    **dict.fromkeys(("status", "state", "show", "containers", "services", "ls-services"), "ps"),
    **dict.fromkeys(
        ("deploy", "install", "launch", "upgrade", "update", "sync", "redeploy", "reload", "serve"),
        "up",
    ),
    **dict.fromkeys(("destroy", "delete", "remove", "uninstall", "teardown", "clean"), "down"),
    **dict.fromkeys(("halt", "suspend", "shutdown"), "stop"),
    **dict.fromkeys(("resume", "continue"), "unpause"),
    **dict.fromkeys(("freeze",), "pause"),
    **dict.fromkeys(("shell", "ssh", "sh", "bash", "enter", "console"), "exec"),
    **dict.fromkeys(("log", "tail", "output"), "logs"),
    **dict.fromkeys(("list", "projects", "stacks"), "ls"),
    **dict.fromkeys(("copy", "download", "upload"), "cp"),
    **dict.fromkeys(("render", "resolve", "print", "template", "view", "convert"), "config"),
    **dict.fromkeys(("lint", "check"), "config --lint"),
    **dict.fromkeys(("validate", "verify"), "config --quiet"),
    **dict.fromkeys(("why", "where", "trace", "get"), "explain"),
    **dict.fromkeys(("revisions", "releases", "versions"), "history"),
    **dict.fromkeys(("undo", "revert", "restore"), "rollback"),
    **dict.fromkeys(("dev", "develop", "follow"), "watch"),
    **dict.fromkeys(("ports", "address", "url", "expose"), "port"),
    **dict.fromkeys(("dependencies", "tree", "dot", "draw"), "graph"),
    **dict.fromkeys(("processes",), "top"),
    **dict.fromkeys(("usage", "metrics", "load"), "stats"),
    **dict.fromkeys(("fetch",), "pull"),
    **dict.fromkeys(("publish-images", "upload-images"), "push"),
    **dict.fromkeys(("rmi",), "down --rmi all"),
    **dict.fromkeys(("prune", "gc"), "system prune"),
    **dict.fromkeys(("daemon", "server"), "engine"),
    **dict.fromkeys(("info", "about"), "version"),
    **dict.fromkeys(("snapshot", "save"), "commit"),
    **dict.fromkeys(("e2e", "ci"), "test"),
}


def nearest_command(word: str) -> str | None:
    """A command that is most likely meant, with the option that does it; None if none is near."""
    meant = _MEANINGS.get(word.lower())
    if meant is not None and word not in COMMANDS:
        return meant
    near = difflib.get_close_matches(word.lower(), COMMANDS, n=1)
    return near[0] if near else None
