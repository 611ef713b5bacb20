"""What a service's image is built from: the `build` section as the builder takes it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated

from stackr.build.cache_entry import CacheSource, CacheTarget, parse_source, parse_target
from stackr.errors import InvalidArgument, InvalidProject, NotSupported
from stackr.options import Option
from stackr.planner.desired.keys import image_name
from stackr.planner.plan.graph import topological_order
from stackr.planner.plan.model import FieldChange
from stackr.runtime import labels
from stackr.runtime.architecture import go_architecture
from stackr.runtime.image_build import ImageBuild, Secret
from stackr.spec.model.build import Build
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service

__all__ = [
    "BuildOptions",
    "PlannedBuild",
    "base_services",
    "build_order",
    "image_build",
]

_SERVICE = "service:"
_IMAGE = "docker-image://"
_DEFAULT_KEY = "default"


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """`stackr build`, beyond what the file says. ssh: agents' sockets by ID. cache_from, cache_to:
    in the place of the file's own.
    """

    arguments: Mapping[str, str] = field(default_factory=dict)
    pull: Annotated[
        bool, Option("--pull", help="Pull the images that are built on, here or not")
    ] = False
    no_cache: Annotated[bool, Option("--no-cache", help="Run every step, cached or not")] = False
    no_cache_filter: tuple[str, ...] = ()
    ssh: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int = 0
    cache_from: tuple[CacheSource, ...] = ()
    cache_to: tuple[CacheTarget, ...] = ()
    debug: Annotated[
        bool, Option("--debug", help="After a step that fails, open a shell in the state before it")
    ] = False


@dataclass(frozen=True, slots=True)
class PlannedBuild:
    """An image that may be built. cause: why it is; "" where nothing asks for it.

    services: whose image it is. after: images that it is built from, which are built as well.
    pulls: images that it begins with and that are not here. bases: all of those.
    record: what it is built from, "" where that cannot be told.
    """

    build: ImageBuild
    cause: str
    services: tuple[str, ...]
    after: tuple[str, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    pulls: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    record: str = ""

    @property
    def image(self) -> str:
        return self.build.tags[0]


def base_services(service: Service) -> tuple[str, ...]:
    """The services whose images its build uses."""
    contexts = service.build.additional_contexts if service.build is not None else {}
    found = (each.removeprefix(_SERVICE) for each in contexts.values() if each.startswith(_SERVICE))
    return tuple(dict.fromkeys(found))


def build_order(project: Project, names: Iterator[str] | tuple[str, ...]) -> list[str]:
    """These services, those of them that are built, with those whose images they use before them.

    Raises InvalidProject for builds that need each other.
    """
    needs: dict[str, tuple[str, ...]] = {}
    pending = list(names)
    while pending:
        name = pending.pop()
        service = project.services.get(name) or project.disabled_services.get(name)
        if name in needs or service is None or service.build is None:
            continue
        needs[name] = base_services(service)
        pending += needs[name]
    known = {name: [each for each in needs[name] if each in needs] for name in sorted(needs)}
    return topological_order({name: set(each) for name, each in known.items()})


def image_build(
    project: Project,
    service: Service,
    options: BuildOptions,
    *,
    platform: str = "",
    only_own: bool = False,
) -> ImageBuild:
    """platform: of the engine's host, "" where it is not known. only_own: it builds for no other.

    Raises NotSupported, by name and place, for what no builder here does.
    """
    build = service.build
    assert build is not None
    section = f"services.{service.name}.build"
    _check_platforms(project, build, section, platform)
    if only_own and platform and service.platform and not _same(service.platform, platform):
        why = f"{service.platform}: the engine builds for its host alone, which is {platform}"
        raise _refused(project, f"services.{service.name}.platform", why)
    image = image_name(project, service)
    return ImageBuild(
        tags=tuple(dict.fromkeys((image, *build.tags))),
        context=build.context or project.working_dir,
        dockerfile=build.dockerfile or "Dockerfile",
        dockerfile_text=build.dockerfile_inline,
        contexts=_contexts(project, build, section),
        target=build.target or "",
        arguments={**_arguments(project, build), **options.arguments},
        labels={
            **build.labels,
            labels.PROJECT: project.name,
            labels.SERVICE: service.name,
            labels.VERSION: labels.COMPOSE_VERSION,
        },
        platform=service.platform or "",
        pull=build.pull or options.pull,
        no_cache=build.no_cache or options.no_cache,
        no_cache_filter=tuple(dict.fromkeys((*build.no_cache_filter, *options.no_cache_filter))),
        network=build.network or "",
        extra_hosts=tuple(_hosts(build)),
        shm_size_bytes=build.shm_size,
        memory_bytes=options.memory_bytes,
        ulimits={name: each.limits for name, each in build.ulimits.items()},
        secrets=dict(_secrets(project, build, section)),
        ssh={**_agents(project, build, section), **options.ssh},
        keeps_failure=options.debug,
        cache_from=options.cache_from or tuple(_sources(project, build, section)),
        cache_to=options.cache_to or tuple(_targets(project, build, section)),
    )


def _sources(project: Project, build: Build, section: str) -> Iterator[CacheSource]:
    """Folders are relative to the stack's own."""
    for index, text in enumerate(build.cache_from):
        with _located(project, f"{section}.cache_from[{index}]"):
            found = parse_source(text)
        yield replace(found, path=_joined(project, found.path))


def _targets(project: Project, build: Build, section: str) -> Iterator[CacheTarget]:
    for index, text in enumerate(build.cache_to):
        with _located(project, f"{section}.cache_to[{index}]"):
            found = parse_target(text)
        yield replace(found, path=_joined(project, found.path))


def _joined(project: Project, path: str) -> str:
    return os.path.join(project.working_dir, path) if path else ""


@contextmanager
def _located(project: Project, path: str) -> Iterator[None]:
    """What is wrong there is told with its place."""
    try:
        yield
    except (InvalidArgument, NotSupported) as error:
        place = project.position(path)
        where = f"{place}: " if place is not None else ""
        message = error.message.partition(": ")[2]
        raise type(error)(f"{where}{path}: {message}", hint=error.hint) from error


def _check_platforms(project: Project, build: Build, section: str, platform: str) -> None:
    if platform and build.platforms and not any(_same(each, platform) for each in build.platforms):
        raise _refused(
            project,
            f"{section}.platforms",
            f"{', '.join(build.platforms)}: the engine's host is {platform}",
        )


def _same(wanted: str, platform: str) -> bool:
    """`linux/arm64` or `linux` of a host that is linux/arm64/v8."""
    wanted = wanted if "/" in wanted or wanted == "linux" else f"linux/{wanted}"
    os, _, rest = wanted.partition("/")
    name, _, variant = rest.partition("/")
    wanted = "/".join(filter(None, (os, go_architecture(name), variant)))
    return (
        platform == wanted or platform.startswith(f"{wanted}/") or wanted.startswith(f"{platform}/")
    )


def _refused(project: Project, path: str, why: str) -> NotSupported:
    place = project.position(path)
    where = f"{place}: " if place is not None else ""
    return NotSupported(f"{where}{path}: not supported: {why}")


def _contexts(project: Project, build: Build, section: str) -> dict[str, str]:
    found = {}
    for name, place in build.additional_contexts.items():
        if place.startswith(_SERVICE):
            base = place.removeprefix(_SERVICE)
            other = project.services.get(base) or project.disabled_services.get(base)
            if other is None:
                path = f"{section}.additional_contexts.{name}"
                raise InvalidProject(f'{path}: no such service: "{base}"')
            place = f"{_IMAGE}{image_name(project, other)}"
        found[name] = place
    return found


def _arguments(project: Project, build: Build) -> dict[str, str]:
    """Those without a value are left out, as with Docker Compose."""
    return {name: value for name, value in build.args.items() if value is not None}


def _hosts(build: Build) -> Iterator[str]:
    for name, addresses in build.extra_hosts.items():
        for address in addresses:
            yield f"{name}:{address}"


def _secrets(project: Project, build: Build, section: str) -> Iterator[tuple[str, Secret]]:
    for index, grant in enumerate(build.secrets):
        source = project.secrets.get(grant.source or "")
        if source is None:
            continue  # the load has refused it
        id = grant.target or grant.source or ""
        if source.content is not None:
            yield id, Secret(content=source.content)
        elif source.environment is not None:
            yield id, Secret(content=project.environment.get(source.environment, ""))
        elif source.file:
            yield id, Secret(file=source.file)
        else:
            path = f"{section}.secrets[{index}]"
            raise _refused(project, path, f'secret "{grant.source}" is external')


def _agents(project: Project, build: Build, section: str) -> Mapping[str, str]:
    found = {}
    for index, key in enumerate(build.ssh):
        path = key.path or (
            project.environment.get("SSH_AUTH_SOCK") or os.environ.get("SSH_AUTH_SOCK", "")
            if key.id == _DEFAULT_KEY
            else ""
        )
        if not path:
            raise _refused(
                project, f"{section}.ssh[{index}]", "SSH_AUTH_SOCK is not set: no agent is there"
            )
        found[key.id] = path
    return found
