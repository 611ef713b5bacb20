"""One stage, step by step: looked up in the cache, or executed; what it has come to at the end."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from stackr.build.cache_key import Ground, chain_id, key_of
from stackr.build.dockerfile import Instruction
from stackr.build.errors import DockerfileError
from stackr.build.evaluate import StageState
from stackr.build.reads import bound, options_text
from stackr.build.settings import DEFAULT_SHELL
from stackr.build.stages import Stage, StagePlan
from stackr.build.steps import Change, Copy, Folder, Run, Step
from stackr.runtime.engine.build.cache import CacheRecord
from stackr.runtime.engine.build.copy_step import Part
from stackr.runtime.engine.build.lineage import Lineage
from stackr.runtime.engine.build.progress import (
    Output,
    Report,
    StageDone,
    StateBefore,
    StepContainer,
    StepDone,
    StepFailed,
    StepStarted,
)
from stackr.runtime.engine.build.remote import Fetched
from stackr.runtime.engine.build.request import BuildRequest
from stackr.runtime.engine.build.run_step import RunFailed
from stackr.runtime.engine.build.sources import (
    Origin,
    content_digest,
    origin_digest,
    parts_of,
)
from stackr.runtime.engine.build.workshop import Workshop
from stackr.runtime.engine.snapshot.overlay import Layer, Overlay

__all__ = ["Base", "StageBuild", "StageResult"]


@dataclass(frozen=True, slots=True)
class Base:
    """What a stage begins with. layers: diff IDs. args: of the stage that it is built on."""

    layers: tuple[str, ...] = ()
    config: Mapping[str, Any] | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    author: str = ""
    args: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage has come to. history: without the times of steps that made no layer."""

    layers: tuple[str, ...]
    config: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    author: str
    args: Mapping[str, str]


class StageBuild:
    """The building of one stage; `base` and `origin` wait for the stages that they need."""

    def __init__(
        self,
        workshop: Workshop,
        request: BuildRequest,
        plan: StagePlan,
        stage: Stage,
        *,
        base: Callable[[Stage, int], Awaitable[Base]],
        origin: Callable[[Stage, str, int], Awaitable[Origin]],
        report: Report,
        first: int,
        total: int,
        used: Callable[[str], None],
        foreign: Callable[[str], Awaitable[CacheRecord | None]],
        lineage: Lineage | None,
        keep: Callable[[StageResult], Awaitable[str]],
    ) -> None:
        self._workshop = workshop
        self._request = request
        self._plan = plan
        self._stage = stage
        self._base = base
        self._origin = origin
        self._report = report
        self._number = first
        self._total = total
        self._used = used
        self._foreign = foreign
        self._lineage = lineage
        self._keep = keep
        self._layers: list[str] = []
        self._history: list[Mapping[str, Any]] = []
        self._skips_cache = request.no_cache or stage.label in request.no_cache_filter
        self._is_fresh = self._skips_cache

    async def run(self) -> StageResult:
        """Raises DockerfileError, StepFailed, and what the parts of the engine raise."""
        stage = self._stage
        self._start(stage.original, stage.line)
        base = await self._base(stage, self._number)
        self._layers, self._history = list(base.layers), list(base.history)
        state = StageState(self._plan, stage, base.config or {}, base.args)
        if stage.parent is None or stage.base in self._request.contexts:
            await asyncio.to_thread(self._foresee, base)
        self._done(None, cached=False, config=state.config)
        for instruction in state.instructions():
            self._number += 1
            await self._instruction(state, instruction)
        self._report(StageDone(stage.label))
        author = state.author or base.author
        return StageResult(
            tuple(self._layers), state.config, tuple(self._history), author, state.args
        )

    def _foresee(self, base: Base) -> None:
        """Raise what is wrong with this stage and those on it before a step is executed."""
        pending = [(self._stage, base.config or {}, base.args)]
        while pending:
            state = StageState(self._plan, *pending.pop())
            for instruction in state.instructions():
                state.step(instruction)
            pending += [
                (each, state.config, state.args)
                for each in self._plan.stages
                if each.parent == state.stage.index and each.base not in self._request.contexts
            ]

    def _start(self, text: str, line: int) -> None:
        total = max(self._total, self._number)
        self._report(StepStarted(self._stage.label, self._number, total, text, line))

    def _done(
        self,
        record: CacheRecord | None,
        *,
        cached: bool,
        config: Mapping[str, Any],
        duration_s: float = 0.0,
    ) -> None:
        self._is_fresh |= record is not None and not cached
        facts = json.dumps([chain_id(self._layers), config], sort_keys=True, default=str)
        self._report(
            StepDone(
                self._stage.label,
                self._number,
                cached,
                record.diff_id if record else "",
                record.size_bytes if record else 0,
                duration_s,
                f"sha256:{hashlib.sha256(facts.encode()).hexdigest()}",
            )
        )

    async def _instruction(self, state: StageState, instruction: Instruction) -> None:
        self._start(instruction.original, instruction.line)
        begun = time.monotonic()
        step = state.step(instruction)
        if isinstance(step, Change):
            self._is_fresh |= not self._is_led_to(instruction, None)
            self._note(instruction, None)
            self._done(None, cached=not self._is_fresh, config=state.config)
            return
        try:
            record, cached = await self._result(step)
        except RunFailed as error:
            failed = StepFailed(
                " ".join(step.argv) if isinstance(step, Run) else "",
                error.code,
                line=instruction.line,
                end_line=instruction.end_line,
                stage=self._stage.label,
            )
            if self._request.keeps_failure and isinstance(step, Run):
                failed.before = await self._before(state, step)
            raise failed from error
        if record.diff_id:
            self._layers.append(record.diff_id)
        self._note(instruction, record)
        self._done(
            record,
            cached=cached,
            config=state.config,
            duration_s=0.0 if cached else time.monotonic() - begun,
        )

    async def _before(self, state: StageState, step: Run) -> StateBefore:
        image = await self._keep(
            StageResult(
                tuple(self._layers), state.config, tuple(self._history), state.author, state.args
            )
        )
        shell = tuple(state.config.get("Shell") or DEFAULT_SHELL)[:1]
        return StateBefore(image, (*step.proxies, *step.env), shell)

    def _note(self, instruction: Instruction, record: CacheRecord | None) -> None:
        """The step's line in the history; where no layer was made, its time comes at the end."""
        entry: dict[str, Any] = {"created_by": instruction.original}
        if record is not None and record.diff_id:
            entry["created"] = record.created
        else:
            entry["empty_layer"] = True
        self._history.append(entry)

    def _is_led_to(self, instruction: Instruction, record: CacheRecord | None) -> bool:
        """Whether a step's result may come from the cache, by the images that were named for it."""
        lineage = self._lineage
        return lineage is None or lineage.leads(self._history, instruction.original, record)

    def _ground(self) -> Ground:
        return Ground(
            self._layers,
            self._request.epoch,
            options_text(self._request.host_config),
            self._workshop.platform,
        )

    async def _result(self, step: Run | Copy | Folder) -> tuple[CacheRecord, bool]:
        """The step's record, and whether it was there."""
        prepared = await self._prepare(step)
        key = key_of(prepared.step, self._ground(), prepared.reads)
        self._used(key)
        skip = self._skips_cache
        try:
            return await self._workshop.once(
                key,
                lambda: self._make(key, prepared, skip_cache=skip),
                foreign=self._foreign,
                may_take=lambda known: self._is_led_to(step.instruction, known),
                skip_cache=skip,
            )
        finally:
            prepared.close()

    async def _make(self, key: str, prepared: _Prepared, *, skip_cache: bool) -> CacheRecord:
        """Execute a step; a copy out of layers only where the files themselves have changed."""
        step, by_content = prepared.step, ""
        if isinstance(step, Copy) and prepared.is_of_layers:
            by_content = await self._content_key(step, prepared)
            self._used(by_content)
            known = None if skip_cache else await self._by_content(step, by_content)
            if known is not None:
                layer = self._workshop.snapshots.layer(known.diff_id)
                return replace(self._new_record(key, prepared, layer), created=known.created)
        async with self._workshop.slots:
            layer = await self._execute(prepared)
        record = self._new_record(key, prepared, layer)
        if by_content:
            self._workshop.cache.put(replace(record, key=by_content, size_bytes=0, kind="internal"))
        return record

    async def _by_content(self, step: Copy, key: str) -> CacheRecord | None:
        """Of a copy out of layers, here or elsewhere."""
        known = self._workshop.cache.find(key)
        if known is not None and self._is_led_to(step.instruction, known):
            return known
        fetched = await self._foreign(key)
        if fetched is not None:
            self._workshop.cache.put(fetched)
        return fetched

    async def _content_key(self, step: Copy, prepared: _Prepared) -> str:
        parts = await asyncio.to_thread(prepared.parts, self._workshop.snapshots)
        digest = await asyncio.to_thread(content_digest, parts)
        return key_of(replace(step, source_image=""), self._ground(), {"content": digest})

    def _new_record(self, key: str, prepared: _Prepared, layer: Layer | None) -> CacheRecord:
        epoch = self._request.epoch
        now = time.time_ns()
        created = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
        return CacheRecord(
            key,
            layer.diff_id if layer else "",
            layer.size_bytes if layer else 0,
            created.isoformat().replace("+00:00", "Z"),
            now,
            now,
            1,
            prepared.step.instruction.original,
            chain_id(self._layers),
        )

    async def _execute(self, prepared: _Prepared) -> Layer | None:
        step, workshop = prepared.step, self._workshop
        epoch_ns = int(self._request.epoch) * 10**9 if self._request.epoch else None
        match step:
            case Run():
                stage, number = self._stage.label, self._number
                return await workshop.runner.run(
                    step,
                    self._layers,
                    self._request,
                    prepared.binds,
                    epoch_ns=epoch_ns,
                    write=lambda stream, data: self._report(Output(stage, number, stream, data)),
                    tell=lambda *container: self._report(StepContainer(stage, number, *container)),
                )
            case Folder():
                return await workshop.copier.folder(step, self._layers, epoch_ns=epoch_ns)
            case Copy():
                parts = await asyncio.to_thread(prepared.parts, workshop.snapshots)
                return await workshop.copier.copy(step, parts, self._layers, epoch_ns=epoch_ns)

    async def _prepare(self, step: Run | Copy | Folder) -> _Prepared:
        match step:
            case Run():
                return await self._prepare_run(step)
            case Copy():
                return await self._prepare_copy(step)
            case Folder():
                return _Prepared(step, {})

    async def _prepare_run(self, step: Run) -> _Prepared:
        reads: dict[str, str] = {}
        binds: dict[int, Origin] = {}
        for number, (name, copied) in bound(step).items():
            binds[number] = await self._find(copied.source_image, step)
            reads[name] = origin_digest(copied, binds[number])
        return _Prepared(step, reads, binds)

    async def _prepare_copy(self, step: Copy) -> _Prepared:
        fetched: list[Fetched] = []
        remote = step.addresses
        if step.checksum and len(step.sources) != 1:
            raise DockerfileError(
                "checksum can't be specified for multiple sources", step.instruction.line
            )
        if step.checksum and not remote:
            raise DockerfileError("checksum requires an http(s) source", step.instruction.line)
        try:
            for address in remote:
                fetched.append(await self._workshop.fetch(address, step))
        except BaseException:
            for each in fetched:
                each.close()
            raise
        local = step.local
        origin = await self._find(step.source_image, step)
        reads = {f"remote {each.address}": each.digest for each in fetched}
        if local.sources:
            reads["sources"] = origin_digest(local, origin)
        return _Prepared(step, reads, {}, local, origin, fetched)

    async def _find(self, name: str, step: Step) -> Origin:
        if not name:
            return self._request.context
        return await self._origin(self._stage, name, self._number)


class _Prepared:
    """A step with what it reads. binds: what each bind mount of a RUN is of."""

    def __init__(
        self,
        step: Run | Copy | Folder,
        reads: Mapping[str, str],
        binds: Mapping[int, Origin] | None = None,
        local: Copy | None = None,
        origin: Origin = (),
        fetched: Sequence[Fetched] = (),
    ) -> None:
        self.step = step
        self.reads = reads
        self.binds = binds or {}
        self._local = local
        self._origin = origin
        self._fetched = fetched

    @property
    def is_of_layers(self) -> bool:
        """Whether it copies from a stage or an image, and from there alone."""
        is_local = self._local is not None and bool(self._local.sources)
        return is_local and not self._fetched and isinstance(self._origin, tuple)

    def parts(self, snapshots: Overlay) -> list[Part]:
        found = [part for each in self._fetched for part in each.parts()]
        if self._local is not None and self._local.sources:
            found += parts_of(self._local, self._origin, snapshots)
        return found

    def close(self) -> None:
        for each in self._fetched:
            each.close()
