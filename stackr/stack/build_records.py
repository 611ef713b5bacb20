"""What the images of a stack are built from now, against what they were built from: by hashing.

Nothing is built. The digests of a context's files are kept below the cache folder, so that files
which nobody has touched cost a stat each.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from stackr.build.context import ignore_of, read_context
from stackr.build.digests import Digests
from stackr.build.dockerfile import parse
from stackr.build.errors import DockerfileError
from stackr.build.inputs import Base, Ingredients, image_names, record_of
from stackr.build.record import Difference, Record, differences, digest, first_miss, parse_record
from stackr.build.stages import StagePlan, plan_of
from stackr.build.tree import Tree
from stackr.errors import InvalidArgument, NotFound, StackrError
from stackr.planner.desired.image_build import BuildOptions, PlannedBuild, build_order, image_build
from stackr.planner.desired.keys import image_name
from stackr.planner.desired.project import Desired
from stackr.planner.images.building import NOT_HERE
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.model import FieldChange
from stackr.planner.plan.options import UpOptions
from stackr.registry.reference import parse_reference
from stackr.runtime import labels
from stackr.runtime.architecture import go_architecture
from stackr.runtime.image_build import ImageBuild, is_remote
from stackr.runtime.protocol import Runtime, SupportsBuild
from stackr.runtime.types import ImageState
from stackr.spec.mask import MASK, is_secret_name
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service
from stackr.stack.bind_sources import missing_context

__all__ = [
    "Trees",
    "aliases_of",
    "dockerfile_of",
    "fields_of",
    "look_at_builds",
    "recorded",
    "stage_plan",
    "told",
]

_IMAGE: Final = "docker-image://"
_COMPOSE: Final = "com.docker.compose."
_LISTED: Final = 3
_OTHER_VERSION: Final = "what it was built from was recorded by another version of stackr"
_DEFAULT_PLATFORM: Final = "linux/amd64"


async def look_at_builds(
    runtime: Runtime,
    wanted: Desired,
    observed: Observed,
    options: UpOptions,
    extra: BuildOptions | None = None,
) -> Observed:
    """`observed`, with the builds of the wanted services and of what these are built from.

    extra: of `stackr build`, which is asked for in any case.
    Raises StackrError, by the service, for an image that has to be built and cannot.
    """
    built = tuple(name for name, each in wanted.services.items() if each.is_built)
    project = wanted.services[built[0]].project
    looker = _Looker(runtime, project, observed, options, extra, await _platform(runtime, project))
    looker.looked_for = frozenset(each.image for each in wanted.services.values())
    for name in build_order(project, built):
        await looker.look(name)
    return replace(observed, builds=looker.builds, images=looker.images)


async def _platform(runtime: Runtime, project: Project) -> str:
    """Asked for where somebody wants certain ones."""
    if not any(
        each.build and (each.build.platforms or each.platform) for each in project.services.values()
    ):
        return ""
    info = await runtime.info()
    if not info.architecture:
        return ""
    return f"{info.os or 'linux'}/{go_architecture(info.architecture)}"


@dataclass(slots=True)
class _Looker:
    runtime: Runtime
    project: Project
    observed: Observed
    options: UpOptions
    extra: BuildOptions | None
    platform: str
    builds: dict[str, PlannedBuild] = field(default_factory=dict)
    images: dict[str, ImageState] = field(default_factory=dict)
    looked_for: frozenset[str] = frozenset()
    _looked: set[str] = field(default_factory=set)
    _services: dict[str, Service] = field(default_factory=dict)
    _makers: dict[str, str] = field(default_factory=dict)
    _records: dict[str, Record] = field(default_factory=dict)
    _trees: Trees = field(default_factory=lambda: Trees())

    def __post_init__(self) -> None:
        self.images = dict(self.observed.images)
        self._services = {**self.project.disabled_services, **self.project.services}
        self._makers = {
            whole_name(image_name(self.project, each)): name
            for name, each in self._services.items()
            if each.build is not None
        }

    async def look(self, name: str) -> None:
        """At what it is built from as well, and before."""
        if name in self._looked:
            return
        self._looked.add(name)
        service = self._services[name]
        build = image_build(
            self.project,
            service,
            self.extra or BuildOptions(),
            platform=self.platform,
            only_own=self.runtime.capabilities.build,
        )
        image = build.tags[0]
        if image in self.builds:  # of another service as well
            known = self.builds[image]
            self.builds[image] = replace(known, services=(*known.services, name))
            return
        here = await self._here(image)
        own = await self._own_bases(build)
        if self.runtime.capabilities.build:  # so that no builder looks for them elsewhere
            named = {reference: f"{_IMAGE}{each}" for reference, each in own.items()}
            build = replace(build, contexts={**named, **build.contexts})
        aliased = (each for each in aliases_of(build).values() if each in self.builds)
        after = tuple(dict.fromkeys((*aliased, *own.values())))
        is_asked = here is None or self._is_asked(service)
        try:
            record, bases = await self._record(build, own, after)
        except StackrError as error:
            if is_asked or (_is_own(here) and isinstance(error, DockerfileError)):
                place = self.project.position(f"services.{name}.build")
                where = f"{place}: " if place else ""
                own_file = build.dockerfile if build.dockerfile_text is None else ""
                raise InvalidArgument(
                    f'{where}service "{name}": build: {error.message}',
                    hint=error.hint or missing_context(build.context, own_file),
                ) from error
            record, bases = None, {}
        cause, fields = self._cause(service, build, here, record, after)
        if record is not None:
            self._records[image] = record
            build = replace(build, labels={**build.labels, labels.BUILD: record.encode()})
        self.builds[image] = PlannedBuild(
            build,
            cause,
            (name,),
            after,
            fields,
            pulls=tuple(each for each, base in bases.items() if not base.id),
            bases=tuple(bases),
            record=record.encode() if record is not None else "",
        )

    async def _own_bases(self, build: ImageBuild) -> dict[str, str]:
        """What of its bases this stack builds: their images, by the names that it has for them.

        An image that is built on itself, or on one that is built on it, is built on what is there.
        """
        found = {}
        for reference in bases_of(build):
            if maker := self._makers.get(whole_name(reference)):
                await self.look(maker)
                image = image_name(self.project, self._services[maker])
                if image in self.builds:
                    found[reference] = image
        return found

    async def _here(self, image: str) -> ImageState | None:
        """Asked for only where it is of a service that was not looked at."""
        if image not in self.images and image not in self.looked_for:
            with contextlib.suppress(NotFound):
                self.images[image] = await self.runtime.inspect_image(image)
        return self.images.get(image)

    def _is_asked(self, service: Service) -> bool:
        return (
            self.extra is not None
            or self.options.build == "always"
            or service.pull_policy == "build"
        )

    async def _record(
        self, build: ImageBuild, own: Mapping[str, str], after: Sequence[str]
    ) -> tuple[Record | None, dict[str, Base]]:
        """None for a context that is fetched. Bases: those that a registry has, by reference."""
        if is_fetched(build):
            return None, {}
        plan = stage_plan(build)
        aliases = aliases_of(build)
        bases = {
            each: await self._base(each)
            for each in image_names(plan, aliases)
            if each not in own and each not in after and each not in build.contexts
        }
        made = {
            name: Base(f"build:{digest(self._records[image].encode())}")
            for name, image in (*own.items(), *((each, each) for each in after))
            if image in self._records
        }
        record = await asyncio.to_thread(recorded, build, plan, self._trees, {**bases, **made})
        return record, bases

    async def _base(self, reference: str) -> Base:
        if not isinstance(self.runtime, SupportsBuild):
            return Base()
        try:
            return Base(*await self.runtime.image_config(reference))
        except NotFound:
            return Base()

    def _cause(
        self,
        service: Service,
        build: ImageBuild,
        here: ImageState | None,
        record: Record | None,
        after: Sequence[str],
    ) -> tuple[str, tuple[FieldChange, ...]]:
        if here is None:
            return NOT_HERE, ()
        if self.extra is not None and (build.no_cache or build.no_cache_filter or build.pull):
            return "asked for", ()
        label = here.labels.get(labels.BUILD, "")
        before = parse_record(label)
        if label and before is None and record is not None:
            return _OTHER_VERSION, ()
        if before is not None and record is not None:
            found = differences(before, record)
            if found:
                return told(found, before, record), fields_of(found)
        again = [each for each in after if self.builds[each].cause]
        if again:
            return f"{', '.join(again)} is built again", ()
        is_known = before is not None and record is not None
        if self.extra is not None or (self._is_asked(service) and not is_known):
            return "asked for", ()
        return "", ()


def _is_own(image: ImageState | None) -> bool:
    """Whether stackr has built it, so that it follows its sources. Where these are not (a host that
    only runs it), it stays; a Dockerfile that is there and makes no sense is told.
    """
    return image is not None and labels.BUILD in image.labels


_MOST_FIELDS: Final = 20


def is_fetched(build: ImageBuild) -> bool:
    return is_remote(build.context) or any(is_remote(each) for each in build.contexts.values())


def bases_of(build: ImageBuild) -> list[str]:
    """The images that its Dockerfile names; of one that is fetched or cannot be read, none."""
    if is_fetched(build):
        return []
    with contextlib.suppress(StackrError):
        return image_names(stage_plan(build), {})
    return []


def whole_name(reference: str) -> str:
    """With registry and tag, so that `base` and `docker.io/library/base:latest` are the same."""
    with contextlib.suppress(StackrError):
        return str(parse_reference(reference).with_default_tag())
    return reference


def stage_plan(build: ImageBuild) -> StagePlan:
    return plan_of(
        parse(dockerfile_of(build)),
        target=build.target,
        arguments=build.arguments,
        platform=build.platform or _DEFAULT_PLATFORM,
    )


def dockerfile_of(build: ImageBuild) -> bytes:
    if build.dockerfile_text is not None:
        return build.dockerfile_text.encode("utf-8", "surrogateescape")
    place = Path(build.context, build.dockerfile)
    try:
        return place.read_bytes()
    except OSError as error:
        raise InvalidArgument(f"{place}: {(error.strerror or str(error)).lower()}") from error


def aliases_of(build: ImageBuild) -> dict[str, str]:
    """Named contexts that are images."""
    return {
        name: place.removeprefix(_IMAGE)
        for name, place in build.contexts.items()
        if place.startswith(_IMAGE)
    }


class Trees:
    """Contexts, each read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Tree] = {}

    def of(self, folder: str, dockerfile: str) -> Tree:
        """Blocking. Raises InvalidArgument for one that cannot be read."""
        key = (folder, dockerfile)
        if key not in self._known:
            root = Path(folder)
            digests = Digests(_digest_file(folder))
            self._known[key] = read_context(root, ignore_of(root, dockerfile), digests)
        return self._known[key]


def _digest_file(folder: str) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    name = hashlib.sha256(os.path.realpath(folder).encode("utf-8", "surrogateescape")).hexdigest()
    return Path(cache, "stackr", "contexts", f"{name[:32]}.json")


def recorded(
    build: ImageBuild, plan: StagePlan, trees: Trees, images: Mapping[str, Base]
) -> Record:
    """Blocking. Raises StackrError for what no build would get past."""
    return record_of(
        plan,
        Ingredients(
            trees.of(build.context, build.dockerfile),
            {
                name: trees.of(place, "")
                for name, place in build.contexts.items()
                if not place.startswith(_IMAGE)
            },
            images,
            aliases_of(build),
            _settings(build),
            is_secret_name,
        ),
    )


def _settings(build: ImageBuild) -> tuple[str, ...]:
    return (
        build.target,
        build.platform,
        build.network,
        repr(sorted(each for each in build.labels.items() if not each[0].startswith(_COMPOSE))),
        repr(sorted(build.tags)),
        repr(sorted(build.extra_hosts)),
        repr(sorted(build.ulimits.items())),
        repr((build.shm_size_bytes, sorted(build.secrets), sorted(build.ssh))),
    )


def told(found: Sequence[Difference], before: Record, now: Record) -> str:
    """`src/app.py changed; from COPY src /app on (Dockerfile line 4), 2 steps follow`."""
    words = ", ".join(each.words for each in found[:_LISTED])
    if len(found) > _LISTED:
        words += f" and {len(found) - _LISTED} more"
    miss = first_miss(before, now)
    if miss is None:
        return words
    _, text, count = miss
    follow = f", {count} step{'s' if count != 1 else ''} follow{'s' if count == 1 else ''}"
    line = f" (line {text.line})" if text.line else ""
    return f"{words}; from {text.text}{line} on{follow if count else ''}"


def fields_of(found: Sequence[Difference]) -> tuple[FieldChange, ...]:
    """The first of them; what has no value to show is told by the cause alone."""
    shown = [each for each in found if (each.old, each.new) != (None, None)]
    return tuple(map(_field, shown[:_MOST_FIELDS]))


def _field(each: Difference) -> FieldChange:
    """Values of arguments, images and modes; of files, that their content changed."""
    path, old, new = f"build.{each.path}", each.old, each.new
    if each.path.startswith("files."):
        return FieldChange(f"build.files[{each.path.removeprefix('files.')}].sha256", old, new)
    if each.path.startswith("modes."):
        return FieldChange(f"build.files[{each.path.removeprefix('modes.')}].mode", old, new)
    is_secret = any(value is not None and value.startswith("sha256:") for value in (old, new))
    if is_secret and each.path.startswith("arguments."):
        return FieldChange(path, old and MASK, new and MASK, is_secret=True)
    return FieldChange(path, old, new)
