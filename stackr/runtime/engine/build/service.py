"""Builds of one engine: a request in, an image out; every method runs on the event loop.

The stages that the target needs are built side by side, each waiting for another only where it
reads from it. The first that fails ends the others.
"""

from __future__ import annotations

import asyncio
import re
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from stackr.build.dockerfile import parse
from stackr.build.errors import DockerfileError
from stackr.build.lint import violations
from stackr.build.stages import Stage, StagePlan, plan_of
from stackr.errors import InvalidArgument, NotFound, NotSupported, StackrError
from stackr.registry.reference import parse_reference
from stackr.runtime.engine.build.cache import BuildCache, CacheRecord, Pruned
from stackr.runtime.engine.build.cache_document import inlined, used_records
from stackr.runtime.engine.build.cache_export import Exporter
from stackr.runtime.engine.build.cache_import import ForeignCache, foreign_cache
from stackr.runtime.engine.build.copy_step import Copier
from stackr.runtime.engine.build.files import Context, read_found
from stackr.runtime.engine.build.folders import BuildFolders
from stackr.runtime.engine.build.incoming import received_context, remote_context
from stackr.runtime.engine.build.layers import LayerMaker
from stackr.runtime.engine.build.output import image_document, settled
from stackr.runtime.engine.build.progress import Built, Notice, Pulling, Report
from stackr.runtime.engine.build.request import BuildRequest
from stackr.runtime.engine.build.run_step import Runner
from stackr.runtime.engine.build.scratch import new_folder, remove, scratch_folder
from stackr.runtime.engine.build.sources import Origin
from stackr.runtime.engine.build.stage import Base, StageBuild, StageResult
from stackr.runtime.engine.build.step_container import StepContainers
from stackr.runtime.engine.build.uploads import Uploads
from stackr.runtime.engine.build.workshop import Workshop
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container.service import Containers
from stackr.runtime.engine.image.model import Image
from stackr.runtime.engine.image.platform import host_platform, parse_platform
from stackr.runtime.engine.image.service import Images
from stackr.runtime.engine.snapshot.overlay import Overlay

__all__ = ["Builder"]

_EPOCH: Final = re.compile(r"[0-9]{1,11}")
_MOST_DOCKERFILE_BYTES: Final = 2 << 20


class Builder:
    """See `entry.py`, which opens what it stands on."""

    def __init__(
        self,
        config: EngineConfig,
        images: Images,
        snapshots: Overlay,
        containers: Containers,
        cache: BuildCache,
    ) -> None:
        self.cache = cache
        self._images = images
        self._snapshots = snapshots
        folders = BuildFolders.of(config)
        self._contexts = folders.contexts
        self._uploads = Uploads()
        self.exporter = Exporter(images, cache)
        self._limit_bytes = config.build_limit_bytes
        step_containers = StepContainers(containers, images)
        maker = LayerMaker(snapshots)
        runner = Runner(
            snapshots,
            images,
            step_containers,
            maker,
            cache,
            scratch=folders.scratch,
            work=folders.fetched,
        )
        self._workshop = Workshop(
            snapshots,
            cache,
            runner,
            Copier(snapshots, step_containers, maker),
            folder=folders.fetched,
            platform=str(host_platform()),
        )

    @asynccontextmanager
    async def received(
        self, archive: AsyncIterator[bytes], *, dockerfile: str = "Dockerfile"
    ) -> AsyncIterator[Context]:
        """A context that comes in as an archive, there for as long as the block.

        Raises InvalidArgument for a damaged or hostile one.
        """
        self._images.check_room()
        async with scratch_folder(self._contexts) as folder:
            yield await received_context(archive, folder, dockerfile)

    @asynccontextmanager
    async def remote(
        self, address: str, *, dockerfile: str = "Dockerfile"
    ) -> AsyncIterator[Context]:
        """A context from elsewhere: a repository, an archive, or a Dockerfile alone.

        Raises InvalidArgument, NotSupported, Unavailable.
        """
        self._images.check_room()
        async with scratch_folder(self._contexts) as folder:
            yield await remote_context(address, folder, dockerfile)

    async def keep(self, archive: AsyncIterator[bytes], *, dockerfile: str) -> str:
        """Take a context in for builds to come; returns its ID. Raises as `received`."""
        await self._uploads.expire()
        self._images.check_room()
        folder = new_folder(self._contexts)
        try:
            return self._uploads.add(folder, await received_context(archive, folder, dockerfile))
        except BaseException:
            await remove(folder)
            raise

    def context(self, id: str) -> Context:
        """One that was taken in; "" stands for an empty one. Raises NotFound."""
        return self._uploads.get(id)

    def using(self, ids: Iterable[str]) -> AbstractContextManager[None]:
        """They stay for as long as the block. Raises NotFound."""
        return self._uploads.using(ids)

    async def release(self, id: str) -> None:
        """Raises NotFound; Conflict while a build reads it."""
        await self._uploads.release(id)

    async def build(self, request: BuildRequest, report: Report) -> Built:
        """Raises DockerfileError, StepFailed, and what pulling or the host's failures raise."""
        self._images.check_room()
        _check_platform(request.platform)
        for tag in request.tags:
            parse_reference(tag)
        if request.epoch and not _EPOCH.fullmatch(request.epoch):
            raise InvalidArgument(f"invalid SOURCE_DATE_EPOCH: {request.epoch}")
        plan = await asyncio.to_thread(self.plan, request)
        for stage in plan.stages:
            _check_platform(stage.platform)
        for name in plan.unused:
            report(Notice(f"[Warning] One or more build-args [{name}] were not consumed"))
        async with AsyncExitStack() as stack:
            hold = stack.enter_context(self.cache.holding())
            used: list[str] = []

            def use(key: str) -> None:
                hold(key)
                used.append(key)

            foreign = await stack.enter_async_context(foreign_cache(request, self._images, report))
            one = _OneBuild(self, request, plan, report, stack, use, foreign)
            result = await one.run()
            image = await self._finish(request, result, use, used, foreign)
            self.cache.touch(used)
            records = self.exporter.records(used)
            await self._export(request, records, result.layers, report)
        await self._keep_to_limit()
        built = Built(image.id, request.tags)
        if request.tells_keys:
            own = used_records(records, result.layers)
            keys = tuple(each.key for each in records)
            built = replace(built, keys=keys, own_keys=tuple(each.key for each in own))
        report(built)
        return built

    @staticmethod
    def plan(request: BuildRequest) -> StagePlan:
        """Read the Dockerfile. Blocking. Raises DockerfileError."""
        text = request.text
        if text is None:
            text = _read(request.context, request.dockerfile)
        dockerfile = parse(text, request.dockerfile)
        violations(text, request.arguments)
        return plan_of(
            dockerfile,
            target=request.target,
            arguments=request.arguments,
            platform=str(host_platform()),
        )

    async def _export(
        self,
        request: BuildRequest,
        records: Sequence[CacheRecord],
        layers: Sequence[str],
        report: Report,
    ) -> None:
        """Leave the steps where that is asked for. Raises what a push raises."""
        for target in request.cache_to:
            if not target.ref:
                continue
            chosen = records if target.is_max else used_records(records, layers)
            try:
                digest = await self.exporter.push(target.ref, chosen, request.auths)
                report(Notice(f"cache_to {target.ref}: {len(chosen)} steps: {digest}"))
            except StackrError as error:
                if not target.ignores_errors:
                    message = f"cache_to {target.ref}: {error.message}"
                    raise type(error)(message, hint=error.hint) from error
                report(Notice(f"[Warning] cache_to {target.ref}: {error.message}"))

    async def _finish(
        self,
        request: BuildRequest,
        result: StageResult,
        use: Callable[[str], None],
        used: Sequence[str],
        foreign: ForeignCache,
    ) -> Image:
        """The image's record. The same result has the time at which it was first built."""
        document = image_document(result, host_platform(), request.labels)
        key, now = settled(document), time.time_ns()
        use(key)
        record = self.cache.find(key)
        if record is None and not request.no_cache:
            record = await foreign.find(key)
            if record is not None:
                self.cache.put(record)
        if record is None or request.no_cache or request.epoch:
            at = int(request.epoch) if request.epoch else now / 10**9
            created = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
            description = f"image {request.tags[0] if request.tags else ''}".strip()
            record = CacheRecord(key, "", 0, created, now, now, 1, description, kind="internal")
            self.cache.put(record)
        config = image_document(result, host_platform(), request.labels, created=record.created)
        if any(not target.ref for target in request.cache_to):
            own = used_records(self.exporter.records(used), result.layers)
            config = inlined(config, own)
        return await self._images.add_built(config, request.tags)

    async def keep_state(self, state: StageResult) -> str:
        """An image without a name of where a stage stands; its ID."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        document = image_document(state, host_platform(), {}, created=now)
        return (await self._images.add_built(document, ())).id

    @property
    def workshop(self) -> Workshop:
        return self._workshop

    @property
    def images(self) -> Images:
        return self._images

    async def _keep_to_limit(self) -> None:
        """Of the layers alone: to know what cache mounts take would need a walk."""
        if self._limit_bytes and self.cache.layers_size() > self._limit_bytes:
            await self.prune(all=True, keep_bytes=self._limit_bytes, until_ns=None)

    async def prune(
        self,
        *,
        all: bool,
        keep_bytes: int,
        until_ns: int | None,
        accept: Callable[[CacheRecord], bool] = lambda _: True,
    ) -> Pruned:
        """Forget results, the least recently used first, until `keep_bytes` are left (0: none)."""
        needed = frozenset(diff_id for image in self._images.list() for diff_id in image.diff_ids)
        chosen = await asyncio.to_thread(
            self.cache.choose,
            all=all,
            keep_bytes=keep_bytes,
            until_ns=until_ns,
            accept=accept,
            needed=needed,
        )
        pruned = self.cache.remove(chosen)
        await self._snapshots.release_layers()
        return pruned


class _OneBuild:
    """The stages of one build."""

    def __init__(
        self,
        builder: Builder,
        request: BuildRequest,
        plan: StagePlan,
        report: Report,
        stack: AsyncExitStack,
        used: Callable[[str], None],
        foreign: ForeignCache,
    ) -> None:
        self._foreign = foreign
        self._builder = builder
        self._request = request
        self._plan = plan
        self._report = report
        self._stack = stack
        self._used = used
        self._tasks: dict[int, asyncio.Task[StageResult]] = {}
        self._images: dict[str, asyncio.Task[Image]] = {}

    async def run(self) -> StageResult:
        total = sum(1 + len(stage.instructions) for stage in self._plan.stages)
        first = 1
        for stage in self._plan.stages:
            build = StageBuild(
                self._builder.workshop,
                self._request,
                self._plan,
                stage,
                base=self._base,
                origin=self._origin,
                report=self._report,
                first=first,
                total=total,
                used=self._used,
                foreign=self._foreign.find,
                lineage=self._foreign.lineage,
                keep=self._builder.keep_state,
            )
            self._tasks[stage.index] = asyncio.create_task(build.run())
            first += 1 + len(stage.instructions)
        try:
            done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
            for task in done:  # a stage that only waited for the one that failed has its error
                task.result()
            return self._tasks[self._plan.target.index].result()
        finally:
            for each in (*self._tasks.values(), *self._images.values()):
                each.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await asyncio.gather(*self._images.values(), return_exceptions=True)

    async def _base(self, stage: Stage, number: int) -> Base:
        named = self._request.contexts.get(stage.base)
        if named is not None and not named.image:
            raise NotSupported(
                f"dockerfile on line {stage.line}: FROM {stage.base}: a named context with files:"
                " not supported by the embedded engine"
            )
        if named is None and stage.parent is not None:
            result = await asyncio.shield(self._tasks[stage.parent])
            return Base(result.layers, result.config, result.history, result.author, result.args)
        if named is None and stage.base == "scratch":
            return Base()
        name = named.image if named else stage.base
        image = await self._image(name, stage, number)
        if image.architecture:
            _check_platform(f"{image.os or 'linux'}/{image.architecture}", name)
        history = image.history or tuple({"created": image.created} for _ in image.diff_ids)
        return Base(image.diff_ids, image.config, history, image.author)

    async def _origin(self, stage: Stage, name: str, number: int) -> Origin:
        """What a `from` names: a named context, a stage, or an image."""
        named = self._request.contexts.get(name)
        if named is not None and named.files is not None:
            return named.files
        index = None if named is not None else self._plan.stage_named(name, stage.index)
        if index is not None:
            task = self._tasks.get(index)
            if task is None:
                raise DockerfileError(f"{name}: a stage that only ONBUILD reads from", stage.line)
            return (await asyncio.shield(task)).layers
        if name == "scratch":
            return ()
        return (await self._image(named.image if named else name, stage, number)).diff_ids

    async def _image(self, name: str, stage: Stage, number: int) -> Image:
        """An image that is here, or pulled; once for all stages. Its layers stay for the build."""
        if name not in self._images:
            self._images[name] = asyncio.create_task(self._found(name, stage, number))
        image = await asyncio.shield(self._images[name])
        self._stack.enter_context(self._builder.cache.holding_layers(image.diff_ids))
        return image

    async def _found(self, name: str, stage: Stage, number: int) -> Image:
        images = self._builder.images
        if not self._request.pull or name.startswith("sha256:"):
            with suppress(NotFound):
                return images.get(name)
        reference = parse_reference(name)
        auth = self._request.auths.get(reference.domain)
        return await images.pull(
            name,
            auth=auth,
            progress=lambda each: self._report(Pulling(stage.label, number, each)),
        )


def _check_platform(text: str, image: str = "") -> None:
    """image: whose platform it is, where it is an image's."""
    if not text:
        return
    wanted, host = parse_platform(text), host_platform()
    if (wanted.os, wanted.architecture) != (host.os, host.architecture):
        whose = f"image {image}: " if image else ""
        raise NotSupported(
            f"{whose}platform {text}: builds for another platform than {host}: not supported by the"
            " embedded engine"
        )


def _read(context: Context, dockerfile: str) -> bytes:
    """A file of the context. Raises DockerfileError where it is none."""
    path = context.whole.resolve(dockerfile)
    if path is None or context.whole.is_folder(path):
        raise DockerfileError(
            f"failed to read dockerfile: open {dockerfile}: no such file or directory"
        )
    found = context.find(path)
    if found is None or not stat.S_ISREG(found.mode):
        raise DockerfileError(f"failed to read dockerfile: open {dockerfile}: is no file")
    return read_found(found, _MOST_DOCKERFILE_BYTES)
