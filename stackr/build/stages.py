"""Instructions -> stages, which of them a target needs, and in what order: a graph in networkx.

A stage needs another by `FROM x`, `COPY --from=x` and `RUN --mount=from=x`. What is not needed is
not built. Source: moby/buildkit, frontend/dockerfile/instructions and dockerfile2llb.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import networkx

from stackr.build.dockerfile import Dockerfile, Instruction
from stackr.build.errors import DockerfileError, nearest
from stackr.build.expand import Words
from stackr.build.flags import flags_of
from stackr.build.mounts import mounts_of
from stackr.text import whole_number

__all__ = ["PREDEFINED", "Stage", "StagePlan", "plan_of", "platform_args"]

PREDEFINED: Final = frozenset(
    name
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (proxy, proxy.lower())
)
"""Build arguments that need no ARG, reach RUN steps, and are not part of what the cache goes by."""
_NAME: Final = re.compile(r"[a-z][a-z0-9-_.]*")


@dataclass(frozen=True, slots=True)
class Stage:
    """One `FROM`. base: an image's name, `scratch`, or the name of `parent`, a stage, by number.

    label: how a person calls it. platform: of `--platform`, "" for the host's. needs: stages by
    number, in the order in which they are used.
    """

    index: int
    name: str
    base: str
    parent: int | None
    platform: str
    instructions: tuple[Instruction, ...]
    line: int
    original: str
    needs: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        return self.name or str(self.index)


@dataclass(frozen=True, slots=True)
class StagePlan:
    """stages: those that `target` needs and itself, each after what it needs.

    args: ARGs before the first FROM that have a value. arguments: the build arguments as given,
    with those of the platform. unused: given ones that no needed stage declares.
    """

    stages: tuple[Stage, ...]
    target: Stage
    names: Mapping[str, int]
    args: Mapping[str, str]
    arguments: Mapping[str, str]
    escape: str
    graph: networkx.DiGraph[int] = field(compare=False, repr=False)
    unused: tuple[str, ...] = ()

    def stage(self, index: int) -> Stage:
        return next(stage for stage in self.stages if stage.index == index)

    def stage_named(self, name: str, before: int) -> int | None:
        """The stage that a `from` means, by name or number; None where it is no stage."""
        return _found(self.names, name, before)


def platform_args(platform: str) -> dict[str, str]:
    """TARGETPLATFORM and its siblings, for `os/arch[/variant]`; build and target are the same."""
    os, _, rest = platform.partition("/")
    arch, _, variant = rest.partition("/")
    values = {"PLATFORM": platform, "OS": os, "ARCH": arch, "VARIANT": variant}
    return {f"{side}{key}": each for side in ("TARGET", "BUILD") for key, each in values.items()}


def plan_of(
    dockerfile: Dockerfile,
    *,
    target: str = "",
    arguments: Mapping[str, str] | None = None,
    platform: str = "linux/amd64",
) -> StagePlan:
    """What is to be built. Raises DockerfileError; for a target that is no stage, too."""
    given = {**platform_args(platform), "TARGETSTAGE": target or "default", **(arguments or {})}
    head, groups = _grouped(dockerfile.instructions)
    args = _global_args(head, given, dockerfile.escape)
    names: dict[str, int] = {}
    stages: list[Stage] = []
    for group in groups:
        stage = _stage(len(stages), group, names, args, dockerfile.escape, given)
        if stage.name:
            names[stage.name] = stage.index
        stages.append(stage)
    wanted = _target(stages, names, target)
    graph: networkx.DiGraph[int] = networkx.DiGraph()
    graph.add_nodes_from(stage.index for stage in stages)
    graph.add_edges_from((need, stage.index) for stage in stages for need in stage.needs)
    needed = networkx.ancestors(graph, wanted.index) | {wanted.index}
    graph = graph.subgraph(needed).copy()
    order = networkx.lexicographical_topological_sort(graph)
    kept = tuple(stages[index] for index in order)
    return StagePlan(
        kept,
        wanted,
        names,
        args,
        given,
        dockerfile.escape,
        networkx.freeze(graph),
        _unused(head, kept, arguments or {}),
    )


def _grouped(
    instructions: Sequence[Instruction],
) -> tuple[list[Instruction], list[list[Instruction]]]:
    head: list[Instruction] = []
    groups: list[list[Instruction]] = []
    for instruction in instructions:
        if instruction.name == "FROM":
            groups.append([instruction])
        elif groups:
            groups[-1].append(instruction)
        elif instruction.name == "ARG":
            head.append(instruction)
        else:
            raise DockerfileError("no build stage in current context", instruction.line)
    if not groups:
        raise DockerfileError("no build stage in current context", head[-1].line if head else 0)
    return head, groups


def _global_args(
    head: Sequence[Instruction], given: Mapping[str, str], escape: str
) -> dict[str, str]:
    """As the FROMs see them, in order; a given one wins over a default."""
    values = {key: each for key, each in given.items() if key in platform_args("")}
    for instruction in head:
        flags_of(instruction)
        if not instruction.args:
            raise DockerfileError("ARG requires at least one argument", instruction.line)
        for text in instruction.args:
            name, equals, default = text.partition("=")
            if name in given:
                values[name] = given[name]
            elif equals:
                values[name] = Words(values, escape, instruction.line).word(default)
    return values


def _stage(
    index: int,
    group: Sequence[Instruction],
    names: Mapping[str, int],
    args: Mapping[str, str],
    escape: str,
    given: Mapping[str, str],
) -> Stage:
    first = group[0]
    words = Words(args, escape, first.line)
    platform = words.word(flags_of(first).get("platform", [""])[0])
    base, name = _from(first)
    named = words.word(base)
    if not named:
        raise DockerfileError(f"base name ({base}) should not be blank", first.line)
    parent = names.get(named.lower())
    for instruction in group[1:]:
        flags_of(instruction)
    needs = [parent] if parent is not None else []
    needs += [
        number
        for source, line in _sources(group[1:])
        if (number := _checked(names, source, index, line, name)) is not None
    ]
    return Stage(
        index,
        name,
        named,
        parent,
        platform,
        tuple(group[1:]),
        first.line,
        first.original,
        tuple(dict.fromkeys(needs)),
    )


def _from(instruction: Instruction) -> tuple[str, str]:
    """The base as it is written, and the stage's name."""
    match instruction.args:
        case [base]:
            return base, ""
        case [base, word, name] if word.lower() == "as":
            if not _NAME.fullmatch(name.lower()):
                raise DockerfileError(
                    f'invalid name for build stage: "{name}", name can\'t start with a number or'
                    " contain symbols",
                    instruction.line,
                )
            return base, name.lower()
    raise DockerfileError("FROM requires either one or three arguments", instruction.line)


def _sources(instructions: Sequence[Instruction]) -> Iterator[tuple[str, int]]:
    """Every `from` of a stage's instructions, with its line."""
    for instruction in instructions:
        each = instruction.trigger or instruction
        if instruction.trigger is not None:
            continue  # of the stage that is built on the image
        if each.name == "COPY":
            for source in flags_of(each).get("from", []):
                yield source, each.line
        elif each.name == "RUN":
            for mount in mounts_of(each):
                if mount.source_image:
                    yield mount.source_image, each.line


def _found(names: Mapping[str, int], source: str, before: int) -> int | None:
    number = whole_number(source)
    if number is None:
        number = names.get(source.lower())
    return number if number is not None and number < before else None


def _checked(
    names: Mapping[str, int], source: str, index: int, line: int, own_name: str
) -> int | None:
    number = whole_number(source)
    if number is not None and number >= index:
        raise DockerfileError(f"invalid from flag value {source}: no such stage before", line)
    if own_name and source.lower() == own_name:
        raise DockerfileError(f"circular dependency detected on stage: {own_name}", line)
    return _found(names, source, index)


def _target(stages: Sequence[Stage], names: Mapping[str, int], target: str) -> Stage:
    if not target:
        return stages[-1]
    if target.lower() in names:
        return stages[names[target.lower()]]
    number = whole_number(target, most=len(stages) - 1)
    if number is not None:
        return stages[number]
    near = nearest(target.lower(), names)
    raise DockerfileError(f'target stage "{posixpath.basename(target)}" could not be found{near}')


def _unused(
    head: Sequence[Instruction], stages: Sequence[Stage], given: Mapping[str, str]
) -> tuple[str, ...]:
    declared = {
        text.partition("=")[0]
        for group in (head, *(stage.instructions for stage in stages))
        for instruction in group
        if instruction.name == "ARG"
        for text in instruction.args
    }
    known = declared | PREDEFINED | platform_args("").keys() | {"SOURCE_DATE_EPOCH", "TARGETSTAGE"}
    return tuple(
        sorted(name for name in given if name not in known and not name.startswith("BUILDKIT_"))
    )
