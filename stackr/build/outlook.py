"""What a build would do, by hashing alone: for each step whether its result is known; pure.

A stage is followed from its base image on. Each step that is known adds its layer; from the first
that is not, what comes out is not known any more, and all that follows would be done as well.
Where a copy out of a stage that would be built anew finds the same files, the engine does less
than is foretold here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackr.build.cache_key import Ground, chain_id, key_of
from stackr.build.evaluate import StageState
from stackr.build.reads import (
    Inputs,
    bound,
    changed,
    copy_digest,
    inputs_of,
    options_text,
)
from stackr.build.stages import Stage, StagePlan
from stackr.build.steps import Change, Copy, Folder, Run, Step
from stackr.build.tree import Tree

__all__ = ["Base", "Known", "Outlook", "Question", "StepOutlook", "outlook"]


@dataclass(frozen=True, slots=True)
class Base:
    """An image that is there. layers: diff IDs. config: with the OCI configuration's spelling."""

    layers: tuple[str, ...]
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """What the engine remembers of a key. layer: "" where no file was changed.

    description: the instruction; parent: the chain ID of the layers below.
    """

    layer: str
    description: str = ""
    parent: str = ""
    inputs: Inputs = field(default_factory=Inputs)


@dataclass(frozen=True, slots=True)
class Question:
    """What is needed to know it all.

    tree: of the context; trees: of named ones. images: of named contexts that are images, by name.
    base_of: an image that the engine has, None for one that it would have to pull. known: the
    engine's cache, by key. host_config, epoch, platform: as the engine is given them.
    """

    plan: StagePlan
    tree: Tree
    base_of: Callable[[str], Base | None]
    known: Mapping[str, Known]
    trees: Mapping[str, Tree] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    host_config: Mapping[str, Any] = field(default_factory=dict)
    platform: str = ""
    no_cache: bool = False
    no_cache_filter: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StepOutlook:
    """One step that may make a layer. key: "" where a step before it would be done.

    reads: digests of what it reads. inputs: the same, file by file. changed: what differs from when
    the same instruction was last done on the same layers (`ARG V`, paths); empty where it never
    was.
    """

    stage: str
    step: Run | Copy | Folder
    is_known: bool
    key: str
    reads: Mapping[str, str]
    inputs: Inputs
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outlook:
    """steps: in the order of the Dockerfile. missing: base images that would be pulled.

    layers, config: of the target, where all is known.
    """

    steps: tuple[StepOutlook, ...]
    missing: tuple[str, ...]
    layers: tuple[str, ...] | None
    config: Mapping[str, Any] | None

    @property
    def first(self) -> StepOutlook | None:
        """The first step that would be done."""
        return next((step for step in self.steps if not step.is_known), None)

    @property
    def is_cached(self) -> bool:
        return not self.missing and self.first is None


def outlook(question: Question) -> Outlook:
    """Raises DockerfileError for what a build would be refused for."""
    return _Outlook(question).run()


_Result = tuple[tuple[str, ...] | None, Mapping[str, Any]]
"""A stage's layers (None: not known) and its configuration."""


class _Outlook:
    def __init__(self, question: Question) -> None:
        self._question = question
        self._results: dict[int, _Result] = {}
        self._steps: list[StepOutlook] = []
        self._missing: dict[str, None] = {}

    def run(self) -> Outlook:
        for stage in self._question.plan.stages:
            self._results[stage.index] = self._stage(stage)
        layers, config = self._results[self._question.plan.target.index]
        whole = config if layers is not None else None
        return Outlook(tuple(self._steps), tuple(self._missing), layers, whole)

    def _stage(self, stage: Stage) -> _Result:
        layers, config = self._base(stage)
        state = StageState(self._question.plan, stage, config)
        for instruction in state.instructions():
            step = state.step(instruction)
            if not isinstance(step, Change):
                layers = self._step(stage, step, layers, state.args)
        return layers, state.config

    def _base(self, stage: Stage) -> _Result:
        named = self._question.images.get(stage.base)
        if named is None and stage.parent is not None:
            return self._results[stage.parent]
        if named is None and stage.base == "scratch":
            return (), {}
        return self._image(named or stage.base)

    def _image(self, name: str) -> _Result:
        base = self._question.base_of(name)
        if base is None:
            self._missing[name] = None
            return None, {}
        return base.layers, base.config

    def _origin(self, stage: Stage, name: str) -> Tree | tuple[str, ...] | None:
        """What a `from` names; None for layers that are not known."""
        question = self._question
        if not name:
            return question.tree
        if name in question.trees:
            return question.trees[name]
        index = question.plan.stage_named(name, stage.index)
        if name not in question.images and index is not None:
            return self._results[index][0]
        if name == "scratch":
            return ()
        return self._image(question.images.get(name, name))[0]

    def _step(
        self,
        stage: Stage,
        step: Run | Copy | Folder,
        layers: tuple[str, ...] | None,
        args: Mapping[str, str],
    ) -> tuple[str, ...] | None:
        reads = self._reads(stage, step)
        key, found = "", None
        if layers is not None and reads is not None:
            key = key_of(step, self._ground(layers), reads)
            found = self._question.known.get(key)
        question = self._question
        if question.no_cache or stage.label in question.no_cache_filter:
            found = None
        tree = self._origin(stage, step.source_image) if isinstance(step, Copy) else None
        inputs = inputs_of(step, args, tree if isinstance(tree, Tree) else None)
        known = self._changed(step, layers, inputs) if found is None else ()
        self._steps.append(
            StepOutlook(stage.label, step, found is not None, key, reads or {}, inputs, known)
        )
        if layers is None or found is None:
            return None
        return (*layers, found.layer) if found.layer else layers

    def _changed(
        self, step: Run | Copy | Folder, layers: tuple[str, ...] | None, inputs: Inputs
    ) -> tuple[str, ...]:
        """Beside the record that has the most in common."""
        parent = chain_id(layers or ())
        found = [
            changed(each.inputs, inputs)
            for each in self._question.known.values()
            if each.description == step.instruction.original and each.parent == parent
        ]
        return tuple(sorted(found, key=len)[0]) if found else ()

    def _ground(self, layers: Sequence[str]) -> Ground:
        question = self._question
        epoch = question.plan.arguments.get("SOURCE_DATE_EPOCH", "")
        return Ground(layers, epoch, options_text(question.host_config), question.platform)

    def _reads(self, stage: Stage, step: Step) -> dict[str, str] | None:
        """None where it is not known: a stage that would be built, an address of ADD."""
        copies = [*bound(step).values()] if isinstance(step, Run) else []
        if isinstance(step, Copy) and step.sources:
            if step.is_add and any("://" in each or "@" in each for each in step.sources):
                return None
            copies = [("sources", step)]
        reads = {}
        for name, each in copies:
            origin = self._origin(stage, each.source_image)
            if origin is None:
                return None
            reads[name] = copy_digest(each, origin)
        return reads
