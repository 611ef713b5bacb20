"""A Dockerfile and what its steps read -> the record of a build, with nothing built; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stackr.build.cache_key import Ground, key_of
from stackr.build.evaluate import StageState
from stackr.build.record import Record, StepText, digest, hidden
from stackr.build.selection import Source, digest_of, select
from stackr.build.stages import Stage, StagePlan
from stackr.build.steps import Change, Copy, Run, Step
from stackr.build.tree import Tree

__all__ = ["Base", "Ingredients", "image_names", "record_of"]

_SCRATCH: Final = "scratch"
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Base:
    """An image that is built on. id: "" where it is not here. config: of its OCI configuration."""

    id: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ingredients:
    """context, contexts: files, by name; None for one that is not read. images: by reference.

    aliases: named contexts that are images, with the reference of each. settings: all else that
    counts. is_secret: whether an argument's value is not to be recorded.
    """

    context: Tree
    contexts: Mapping[str, Tree]
    images: Mapping[str, Base]
    aliases: Mapping[str, str]
    settings: tuple[str, ...] = ()
    is_secret: Callable[[str], bool] = lambda name: False


def image_names(plan: StagePlan, aliases: Mapping[str, str]) -> list[str]:
    """The references of the images that stages begin with or copy from."""
    found: dict[str, None] = {}
    for stage in plan.stages:
        if stage.parent is None and stage.base != _SCRATCH:
            found[aliases.get(stage.base, stage.base)] = None
        for source in _sources(stage):
            if plan.stage_named(source, stage.index) is None:
                found[aliases.get(source, source)] = None
    return list(found)


def _sources(stage: Stage) -> Iterator[str]:
    for instruction in stage.instructions:
        for flag in instruction.flags:
            name, _, value = flag.partition("=")
            if name == "from":
                yield value
            elif name == "mount":
                yield from (
                    each.partition("=")[2] for each in value.split(",") if each.startswith("from=")
                )


def record_of(plan: StagePlan, given: Ingredients) -> Record:
    """Raises DockerfileError, with its line, for what no build would get past."""
    return _Recorder(plan, given).record()


class _Recorder:
    def __init__(self, plan: StagePlan, given: Ingredients) -> None:
        self._plan = plan
        self._given = given
        self._files: dict[str, str] = {}
        self._bases: dict[str, str] = {}
        self._states: dict[int, StageState] = {}
        self._digests: dict[int, str] = {}

    def record(self) -> Record:
        steps: dict[str, list[str]] = {}
        texts: dict[str, list[StepText]] = {}
        for stage in self._plan.stages:
            found = list(self._stage(stage))
            steps[stage.label] = [each for _, each in found]
            texts[stage.label] = [text for text, _ in found]
            self._digests[stage.index] = digest(*steps[stage.label])
        return Record(
            self._files,
            self._arguments(),
            self._bases,
            steps,
            digest(*self._given.settings),
            texts,
        )

    def _arguments(self) -> dict[str, str]:
        """Those that the needed stages declare, with what they come to."""
        values: dict[str, str] = dict(self._plan.args)
        for stage in self._plan.stages:
            values |= self._states[stage.index].args
        own = {name: value for name, value in values.items() if not name.startswith(_PLATFORM)}
        secret = self._given.is_secret
        return {name: hidden(each) if secret(name) else each for name, each in own.items()}

    def _stage(self, stage: Stage) -> Iterator[tuple[StepText, str]]:
        config, base = self._ground(stage)
        state = self._states[stage.index] = StageState(self._plan, stage, config)
        yield StepText(_short(stage.original), stage.line), base
        for instruction in state.instructions():
            step = state.step(instruction)
            yield (
                StepText(_short(instruction.original), instruction.line),
                self._step(stage, step, state),
            )

    def _ground(self, stage: Stage) -> tuple[Mapping[str, Any], str]:
        if stage.parent is not None and stage.base not in self._given.aliases:
            return self._states[stage.parent].config, self._digests[stage.parent]
        if stage.base == _SCRATCH:
            return {}, _SCRATCH
        if stage.base in self._given.contexts:
            tree = self._given.contexts[stage.base]
            return {}, self._read(stage.base, tree, tree.files)
        base = self._image(stage.base)
        return base.config, digest(base.id)

    def _image(self, name: str) -> Base:
        reference = self._given.aliases.get(name, name)
        base = self._given.images.get(reference, Base())
        self._bases[reference] = base.id
        return base

    def _step(self, stage: Stage, step: Step, state: StageState) -> str:
        if isinstance(step, Change):
            return digest(repr(sorted(state.config.items(), key=lambda item: item[0])))
        reads: dict[str, str] = {}
        if isinstance(step, Copy):
            reads["source"] = self._copied(stage, step)
        elif isinstance(step, Run):
            reads |= self._mounted(stage, step)
        ground = Ground((), state.args.get("SOURCE_DATE_EPOCH", ""))
        return key_of(step, ground, reads)[:12]

    def _copied(self, stage: Stage, step: Copy) -> str:
        if step.source_image:
            return self._from(stage, step.source_image, step)
        if not _reads_context(step):
            return ""
        return self._selected("", self._given.context, step)

    def _from(self, stage: Stage, name: str, step: Copy | None = None, path: str = "") -> str:
        """What is read of a stage, a named context or an image."""
        number = self._plan.stage_named(name, stage.index)
        if name in self._given.contexts:
            tree = self._given.contexts[name]
            if step is not None:
                return self._selected(name, tree, step)
            return self._read(name, tree, _below(tree, path))
        if number is not None and name not in self._given.aliases:
            return self._digests[number]
        return digest(self._image(name).id)

    def _selected(self, name: str, tree: Tree, step: Copy) -> str:
        sources = select(step, tree)
        self._note(name, tree, (path for source in sources for path in _paths(source)))
        return digest_of(sources, tree)

    def _mounted(self, stage: Stage, step: Run) -> dict[str, str]:
        found = {}
        for mount in step.mounts:
            if mount.type != "bind":
                continue
            path = mount.source.strip("/")
            if mount.source_image:
                found[mount.target] = self._from(stage, mount.source_image, path=path)
            else:
                tree = self._given.context
                found[mount.target] = self._read("", tree, _below(tree, path))
        return found

    def _read(self, name: str, tree: Tree, paths: Iterable[str]) -> str:
        listed = sorted(paths)
        self._note(name, tree, listed)
        return digest(
            *(f"{path} {tree.files[path].mode:o} {tree.files[path].digest}" for path in listed)
        )

    def _note(self, name: str, tree: Tree, paths: Iterable[str]) -> None:
        prefix = f"{name}:" if name else ""
        for path in paths:
            file = tree.files.get(path)
            if file is not None and not file.is_folder:
                content = digest(file.digest) if file.is_link else file.digest[:12]
                self._files[prefix + path] = f"{content}{file.mode & 0o7777:o}"


_PLATFORM = ("TARGET", "BUILD")


def _below(tree: Tree, path: str) -> list[str]:
    if not path or path == ".":
        return list(tree.files)
    return [path, *tree.below(path)] if path in tree.files else []


def _paths(source: Source) -> Iterator[str]:
    if source.is_folder:
        yield from (f"{source.path}/{each}".lstrip("/") for each in source.below)
    else:
        yield source.path


def _reads_context(step: Copy) -> bool:
    if not step.sources:
        return False
    addresses = [each for each in step.sources if "://" in each or each.startswith("git@")]
    return not (step.is_add and addresses)


def _short(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= _SHOWN else f"{one[: _SHOWN - 1]}…"
