"""What the stack file says about changed files: whom they concern, and what is to be done.

Source: docker/compose, pkg/compose/watch.go; pkg/watch/dockerignore.go, ephemeral.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from stackr.errors import InvalidArgument, InvalidProject
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service, WatchTrigger
from stackr.stack.watch.patterns import Patterns, read_ignore_file

__all__ = ["WatchRule", "WatchRules", "watch_rules"]

Action = Literal["sync", "restart", "sync+restart", "sync+exec"]

# What editors and tools write beside the files that they change.
_EPHEMERAL = (
    *("**/*___jb_old___", "**/*___jb_tmp___", "**/.idea/**", "**/.#*", "**/#*#", "**/4913"),
    *("**/*~", "**/.*.swp", "**/.*.swx", "**/.*.swo", "**/.*.swn", "**/.*.kate-swp"),
    *("**/*-go-tmp-umask", "**/.git"),
)


@dataclass(frozen=True)
class WatchRule:
    """One entry of a service's `develop.watch`. include: None for all that is not ignored."""

    service: str
    trigger: WatchTrigger
    ignores: tuple[Patterns, ...]
    include: Patterns | None = None

    @cached_property
    def path(self) -> Path:
        return Path(self.trigger.path)

    @property
    def syncs(self) -> bool:
        return self.trigger.action.startswith("sync")

    @property
    def restarts(self) -> bool:
        return self.trigger.action.endswith("restart")

    def match(self, path: Path) -> bool:
        """Whether a change of a path concerns this rule."""
        return (
            path.is_relative_to(self.path)
            and (self.include is None or self.include.match(path))
            and not any(patterns.match(path) for patterns in self.ignores)
        )

    def may_match_below(self, folder: Path) -> bool:
        """Whether anything in a folder can concern this rule."""
        if not (folder.is_relative_to(self.path) or self.path.is_relative_to(folder)):
            return False
        return not any(
            patterns.match(folder) and not patterns.has_exceptions for patterns in self.ignores
        )

    def inside(self, path: Path) -> str:
        """Where a path of this host is in the container."""
        below = path.relative_to(self.path).as_posix()
        return posixpath.normpath(posixpath.join("/", self.trigger.target or "", below))


@dataclass(frozen=True, slots=True)
class WatchRules:
    """The rules of some services; `warnings`: what was left out, and why."""

    rules: tuple[WatchRule, ...]
    warnings: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(rule.path for rule in self.rules))


def watch_rules(project: Project) -> WatchRules:
    """The rules of a project's enabled services.

    Raises InvalidProject where there is none, and for a rebuild of what is not built.
    """
    found: list[WatchRule] = []
    warnings: list[str] = []
    for name, service in sorted(project.services.items()):
        triggers = service.develop.watch if service.develop is not None else ()
        _check(name, service, triggers)
        if not triggers:
            continue
        ignored = _build_ignores(service)
        for index, trigger in enumerate(triggers):
            if _is_mounted(trigger, service):
                warnings.append(
                    f"service {name}: {trigger.path} is a bind mount as well, and is not watched"
                )
                continue
            where = f"services.{name}.develop.watch[{index}]"
            found.append(_rule(name, trigger, ignored, where))
    if not found:
        raise InvalidProject(
            "none of the selected services is configured for watch, consider setting a"
            " 'develop' section",
            hint=warnings[0] if warnings else None,
        )
    return WatchRules(tuple(found), tuple(warnings))


def _check(name: str, service: Service, triggers: Iterable[WatchTrigger]) -> None:
    for index, trigger in enumerate(triggers):
        where = f"services.{name}.develop.watch[{index}]"
        if trigger.action == "rebuild" and service.build is None:
            raise InvalidProject(f"{where}.action: rebuild: service {name} has no build section")
        if trigger.action == "sync+exec" and not trigger.exec.command:
            raise InvalidProject(f"{where}.exec.command: sync+exec needs a command")


def _rule(
    service: str, trigger: WatchTrigger, ignored: tuple[Patterns, ...], where: str
) -> WatchRule:
    path = Path(trigger.path)
    try:
        own = Patterns(path, trigger.ignore)
        include = Patterns(path, trigger.include) if trigger.include else None
    except InvalidArgument as error:
        raise InvalidProject(f"{where}: {error.message}") from error
    return WatchRule(service, trigger, (*ignored, Patterns(path, _EPHEMERAL), own), include)


def _build_ignores(service: Service) -> tuple[Patterns, ...]:
    """What the build leaves out is not watched: the Dockerfile's own list, else the context's."""
    if service.build is None or not service.build.context:
        return ()
    context = Path(service.build.context)
    dockerfile = service.build.dockerfile or "Dockerfile"
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        try:
            return (Patterns(context, read_ignore_file(context / name)),)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise InvalidProject(f"{context / name}: {error.strerror}") from error
        except InvalidArgument as error:
            raise InvalidProject(f"{context / name}: {error.message}") from error
    return ()


def _is_mounted(trigger: WatchTrigger, service: Service) -> bool:
    """Whether the container sees the files themselves already, so that a copy has no sense."""
    if not trigger.action.startswith("sync"):
        return False
    sources = (volume.source for volume in service.volumes if volume.type == "bind")
    return any(source and Path(trigger.path).is_relative_to(source) for source in sources)
