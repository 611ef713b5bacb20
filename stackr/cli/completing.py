"""What a shell offers for a word: services, profiles, projects, revisions, containers, choices.

Which it is follows from how the parameter is declared: its metavar, and the words of its help where
those are the choices. What cannot be found out (no stack file, no engine) is offered nothing for;
an engine that does not run is not started.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from stackr.cli.options import GlobalOptions
from stackr.cli.source import source_of
from stackr.cli.targets import split_targets
from stackr.errors import StackrError
from stackr.runtime import labels
from stackr.runtime.connect import connect
from stackr.runtime.protocol import Runtime, SupportsRawRequest
from stackr.stack.containers import STATES
from stackr.stack.git_files import git
from stackr.stack.history import read_history
from stackr.stack.source import Source

__all__ = ["choices_in", "complete", "names_for"]

_PATIENCE_S = 2.0
_CHOICE = re.compile(r"[a-z][a-z0-9_-]*")
_CHOICES = frozenset(
    ("KIND", "POLICY", "WHICH", "STATE", "WHEN", "SHELL", "FORMAT", "NAME", "TYPE")
)
_NAMES = re.compile(r"[A-Z_]+")


def complete(ctx: Any, parameter: Any, incomplete: str) -> list[str]:
    """The words that may stand here and begin as given. Never raises."""
    try:
        found = names_for(ctx, parameter)
    except (StackrError, OSError, TimeoutError):
        return []
    option = _option_before()
    return [f"{option}{name}" for name in found if name.startswith(incomplete)]


def _option_before() -> str:
    """`--status=`, where a value stands in one word with its option.

    zsh and fish put what they are offered in the place of the whole word, bash only behind the `=`.
    """
    last = os.environ.get("_TYPER_COMPLETE_ARGS", "").rpartition(" ")[2]
    option, equals, _ = last.partition("=")
    return f"{option}=" if equals and option.startswith("--") else ""


def names_for(ctx: Any, parameter: Any) -> Iterable[str]:
    """All words that may stand at a parameter, in the order in which they are offered."""
    spelling = parameter.opts[0] if parameter.opts else ""
    words = _NAMES.findall(parameter.metavar or "")
    if spelling in _BY_OPTION:
        return _BY_OPTION[spelling](ctx)
    for word in words:
        if word in _BY_WORD:
            before, _, after = (parameter.metavar or "").partition(word)
            key = before if before.endswith("=") else ""  # `status=STATE`
            ending = after[:1] if after[:1] in ("=", ":") else ""
            return [f"{key}{name}{ending}" for name in _BY_WORD[word](ctx)]
    if words and words[0] in _CHOICES:
        return choices_in(getattr(parameter, "help", "") or "")
    return ()


def choices_in(help: str) -> list[str]:
    """The words of a help text that is a list of them: `table, json or text`; else none."""
    text = re.sub(r"\([^)]*\)", "", help.rpartition(": ")[2]).partition(";")[0]
    parts = [part.strip() for part in re.split(r",\s*(?:or\s+)?|\s+or\s+", text)]
    found = [part for part in parts if _CHOICE.fullmatch(part)]
    return found if len(found) > 1 else []


def _options(ctx: Any) -> GlobalOptions:
    found = ctx.find_root().obj
    return found if isinstance(found, GlobalOptions) else GlobalOptions()


def _source(ctx: Any) -> Source:
    words = ctx.params.get("own_words") or ()
    return source_of(_options(ctx), split_targets(words).files)


def _services(ctx: Any) -> Iterable[str]:
    return _source(ctx).services()


def _profiles(ctx: Any) -> Iterable[str]:
    return _source(ctx).profiles()


def _asked(ctx: Any, ask: Callable[[Runtime], Awaitable[Iterable[str]]]) -> list[str]:
    async def work() -> list[str]:
        async with asyncio.timeout(_PATIENCE_S):
            engine = _options(ctx).engine
            async with await connect(engine, read_only=True, start=False) as runtime:
                return sorted(await ask(runtime))

    return asyncio.run(work())


def _projects(ctx: Any) -> list[str]:
    async def ask(runtime: Runtime) -> Iterable[str]:
        found = await runtime.list_containers(labels=[labels.PROJECT], all=True)
        return {container.labels[labels.PROJECT] for container in found}

    return _asked(ctx, ask)


def _containers(ctx: Any) -> list[str]:
    async def ask(runtime: Runtime) -> Iterable[str]:
        return {container.name for container in await runtime.list_containers(all=True)}

    return _asked(ctx, ask)


def _networks(ctx: Any) -> list[str]:
    async def ask(runtime: Runtime) -> Iterable[str]:
        return {network.name for network in await runtime.list_networks()}

    return _asked(ctx, ask)


def _volumes(ctx: Any) -> list[str]:
    async def ask(runtime: Runtime) -> Iterable[str]:
        found = await runtime.list_volumes()
        return {volume.name for volume in found if labels.HISTORY not in volume.labels}

    return _asked(ctx, ask)


def _images(ctx: Any) -> list[str]:
    async def ask(runtime: Runtime) -> Iterable[str]:
        if not isinstance(runtime, SupportsRawRequest):
            return ()
        listed: Any = await runtime.request_json("GET", "/images/json")
        return {name for image in listed for name in image.get("RepoTags") or ()}

    return _asked(ctx, ask)


def _revisions(ctx: Any) -> list[str]:
    name = _source(ctx).name()

    async def ask(runtime: Runtime) -> Iterable[str]:
        return [str(revision.number) for revision in await read_history(runtime, name)]

    return _asked(ctx, ask)


def _ports(ctx: Any) -> list[str]:
    """The container ports of the service that is named already."""
    return [str(port) for port in _source(ctx).ports(ctx.params.get("service") or "")]


def _objects(ctx: Any) -> list[str]:
    return sorted({*_containers(ctx), *_images(ctx), *_networks(ctx), *_volumes(ctx)})


def _references(ctx: Any) -> list[str]:
    """Branches and tags of the git repository here."""
    listed = git(".", "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags")
    return listed.split()


def _signals(ctx: Any) -> list[str]:
    return [each.name for each in signal.Signals]


_BY_OPTION: Mapping[str, Callable[[Any], Iterable[str]]] = {
    "--profile": _profiles,
    "--project-name": _projects,
    "--revision": _revisions,
    "--base": _references,
    "own_names": _objects,
    "private_port": _ports,
    "--engine": lambda ctx: ("embedded", "docker", "unix://", "tcp://", "ssh://"),
    "shell": lambda ctx: ("bash", "zsh", "fish"),
}
_BY_WORD: Mapping[str, Callable[[Any], Iterable[str]]] = {
    "SERVICE": _services,
    "SERVICES": lambda ctx: ("*", *_services(ctx)),
    "STATE": lambda ctx: STATES,
    "POLICY": lambda ctx: ("always", "missing", "never"),
    "REVISION": _revisions,
    "CONTAINER": _containers,
    "IMAGE": _images,
    "NETWORK": _networks,
    "VOLUME": _volumes,
    "SIGNAL": _signals,
    "SOURCE": lambda ctx: [f"{name}:" for name in _services(ctx)],
    "TARGET": lambda ctx: [f"{name}:" for name in _services(ctx)],
}
