"""A Dockerfile and what its steps read -> the record of a build, with nothing built; pure.

A stage is followed by the keys that the engine's cache goes by. Where it is not known which layer
a step makes, its key stands for the layer: whatever changes a step changes all that follow it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stackr.build.cache_key import Ground, chain_id, key_of
from stackr.build.evaluate import StageState
from stackr.build.reads import bound
from stackr.build.record import Record, StepText, digest, hidden
from stackr.build.selection import Source, digest_of, select
from stackr.build.stages import Stage, StagePlan
from stackr.build.steps import Change, Copy, Folder, Run
from stackr.build.tree import Tree

__all__ = ["Base", "Ingredients", "image_names", "record_of"]

_SCRATCH: Final = "scratch"
_SHOWN: Final = 60
_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Base:
    """An image that is built on. id: "" where it is not here. config: of its OCI configuration.

    layers: diff IDs, where they are known.
    """

    id: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[str, ...] = ()

    @property
    def chain(self) -> tuple[str, ...]:
        """What stands for its layers in keys."""
        return self.layers or (self.id,)


@dataclass(frozen=True, slots=True)
class Ingredients:
    """context, contexts: files, by name; None for one that is not read. images: by reference.

    aliases: named contexts that are images, with the reference of each. settings: all else that
    counts. is_secret: whether an argument's value is not to be recorded. layer_of: the layer that
    the step with a key has made, "" for none. options, platform: see `cache_key.Ground`.
    """

    context: Tree
    contexts: Mapping[str, Tree]
    images: Mapping[str, Base]
    aliases: Mapping[str, str]
    settings: tuple[str, ...] = ()
    is_secret: Callable[[str], bool] = lambda name: False
    layer_of: Callable[[str], str] = lambda key: key
    options: str = ""
    platform: str = ""


def image_names(plan: StagePlan, aliases: Mapping[str, str]) -> list[str]:
    """The references of the images that stages begin with or copy from."""
    found: dict[str, None] = {}
    for stage in plan.stages:
        if stage.parent is None and stage.base != _SCRATCH:
            found[aliases.get(stage.base, stage.base)] = None
        for source in _sources(stage):
            if source != _SCRATCH and plan.stage_named(source, stage.index) is None:
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


_Origin = Tree | tuple[str, ...]
"""Where files come from: a context, or layers by their names."""


class _Recorder:
    def __init__(self, plan: StagePlan, given: Ingredients) -> None:
        self._plan = plan
        self._given = given
        self._files: dict[str, str] = {}
        self._bases: dict[str, str] = {}
        self._states: dict[int, StageState] = {}
        self._layers: dict[int, tuple[str, ...]] = {}

    def record(self) -> Record:
        steps: dict[str, list[str]] = {}
        texts: dict[str, list[StepText]] = {}
        for stage in self._plan.stages:
            found = list(self._stage(stage))
            steps[stage.label] = [each for _, each in found]
            texts[stage.label] = [text for text, _ in found]
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
        """Each step and its digest; the stage's layers are known afterwards."""
        config, layers, args = self._ground(stage)
        state = self._states[stage.index] = StageState(self._plan, stage, config, args)
        yield StepText(_short(stage.original), stage.line), digest(*layers, _facts(state))
        for instruction in state.instructions():
            step = state.step(instruction)
            key = _facts(state)
            if not isinstance(step, Change):
                key = self._key(stage, step, layers)
                made = self._given.layer_of(key)
                layers = (*layers, made) if made else layers
            yield StepText(_short(instruction.original), instruction.line), key[:_DIGITS]
        self._layers[stage.index] = layers

    def _ground(self, stage: Stage) -> tuple[Mapping[str, Any], tuple[str, ...], Mapping[str, str]]:
        """The configuration, the layers and the arguments that a stage begins with."""
        if stage.parent is not None and stage.base not in self._given.aliases:
            parent = self._states[stage.parent]
            return parent.config, self._layers[stage.parent], parent.args
        if stage.base == _SCRATCH:
            return {}, (), {}
        base = self._image(stage.base)
        return base.config, base.chain, {}

    def _image(self, name: str) -> Base:
        reference = self._given.aliases.get(name, name)
        base = self._given.images.get(reference, Base())
        self._bases[reference] = base.id
        return base

    def _key(self, stage: Stage, step: Run | Copy | Folder, layers: Sequence[str]) -> str:
        ground = Ground(
            layers,
            self._plan.arguments.get("SOURCE_DATE_EPOCH", ""),
            self._given.options,
            self._given.platform,
        )
        return key_of(step, ground, dict(self._reads(stage, step)))

    def _reads(self, stage: Stage, step: Run | Copy | Folder) -> Iterator[tuple[str, str]]:
        """What an address gives by now is not known: it is the same for each."""
        if isinstance(step, Run):
            for name, copied in bound(step).values():
                yield name, self._read(stage, copied)
        elif isinstance(step, Copy):
            yield from ((f"remote {address}", "") for address in step.addresses)
            if step.local.sources:
                yield "sources", self._read(stage, step.local)

    def _read(self, stage: Stage, step: Copy) -> str:
        name = step.source_image
        origin = self._origin(stage, name)
        if isinstance(origin, Tree):
            sources = select(step, origin)
            self._note(name, origin, (path for source in sources for path in _paths(source)))
            return digest_of(sources, origin)
        return chain_id(origin)

    def _origin(self, stage: Stage, name: str) -> _Origin:
        """A named context, a stage or an image."""
        if not name:
            return self._given.context
        if name in self._given.contexts:
            return self._given.contexts[name]
        number = self._plan.stage_named(name, stage.index)
        if number is not None and name not in self._given.aliases:
            return self._layers[number]
        return () if name == _SCRATCH else self._image(name).chain

    def _note(self, name: str, tree: Tree, paths: Iterable[str]) -> None:
        prefix = f"{name}:" if name else ""
        for path in paths:
            file = tree.files.get(path)
            if file is not None and not file.is_folder:
                content = digest(file.digest) if file.is_link else file.digest[:_DIGITS]
                self._files[prefix + path] = f"{content}{file.mode & 0o7777:o}"


_PLATFORM = ("TARGET", "BUILD")


def _facts(state: StageState) -> str:
    """A digest of the configuration."""
    return digest(repr(sorted(state.config.items(), key=lambda item: item[0])))


def _paths(source: Source) -> Iterator[str]:
    if source.is_folder:
        yield from (f"{source.path}/{each}".lstrip("/") for each in source.below)
    else:
        yield source.path


def _short(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= _SHOWN else f"{one[: _SHOWN - 1]}…"
